package getopt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var options = []Option{
	{Short: 'l'}, {Short: 'c'}, {Short: 'd', Arg: true}, {Long: "help", Short: 'h'},
	{Long: "dump-dmesg"}, {Long: "dry-run"}, {Long: "num-threads", Arg: true}, {Long: "split"}, {Long: "splitblock-size", Arg: true},
}

func show(given []Given, operands []string) string {
	var s []string
	for _, g := range given {
		if g.Arg {
			s = append(s, fmt.Sprintf("%s(%s)", g.Name(), g.Value))
		} else {
			s = append(s, g.Name())
		}
	}
	return strings.Join(append(s, operands...), " ")
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"-l -d 31 a b", "-l -d(31) a b"},
		{"-ld31 a", "-l -d(31) a"},
		{"-lcd 31 a", "-l -c -d(31) a"},
		{"-d -1", "-d(-1)"},
		{"a -l b -c", "-l -c a b"},
		{"-l -- -c --dry-run", "-l -c --dry-run"},
		{"-", "-"},
		{"--num-threads=4 --num-threads 5", "--num-threads(4) --num-threads(5)"},
		{"--num=4 --du --dr", "--num-threads(4) --dump-dmesg --dry-run"},
		{"--num-threads=", "--num-threads()"},
		{"--split", "--split"}, // exact, though it begins another one
		{"--splitb 7", "--splitblock-size(7)"},
		{"-h --h", "--help --help"},
	} {
		given, operands, err := Parse(options, strings.Fields(tt.in))
		if got := show(given, operands); err != nil || got != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"-x":            "unknown option -x",
		"-lx":           "unknown option -x",
		"--nothing":     "unknown option --nothing",
		"--d":           "option --d is ambiguous: --dump-dmesg, --dry-run",
		"--spl":         "option --spl is ambiguous: --split, --splitblock-size",
		"--dry-run=yes": "option --dry-run takes no argument",
		"a -d":          "option -d needs an argument",
		"--num-threads": "option --num-threads needs an argument",
	} {
		if _, _, err := Parse(options, strings.Fields(in)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// Nothing is lost: every argument of the line is an option, a value or an operand.
func FuzzParse(f *testing.F) {
	f.Add("-ld31 a -- b")
	f.Add("--num=4 --split x -d")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		given, operands, err := Parse(options, slices.Clone(args))
		if err != nil {
			return
		}
		for _, o := range operands {
			if !slices.Contains(args, o) {
				t.Errorf("%q: operand %q came from nowhere", line, o)
			}
		}
		for _, g := range given {
			if !g.Arg && g.Value != "" {
				t.Errorf("%q: %s has the value %q", line, g.Name(), g.Value)
			}
		}
	})
}
