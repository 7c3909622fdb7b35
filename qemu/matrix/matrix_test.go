package matrix

import (
	"fmt"
	"strings"
	"testing"
)

func TestSplice(t *testing.T) {
	doc := "a\n" + begin + "old\n" + end + "z\n"
	if got := string(Splice([]byte(doc), "new\n")); got != "a\n"+begin+"new\n"+end+"z\n" {
		t.Errorf("%q", got)
	}
	for _, doc := range []string{"", "a\n", begin, end + begin, end} {
		if got := string(Splice([]byte(doc), "new\n")); got != doc {
			t.Errorf("%q became %q", doc, got)
		}
	}
}

func TestMerge(t *testing.T) {
	row := func(kernel, name string, level int, text string) Row {
		return Row{Kernel: kernel, Case: name, Level: level, Cells: map[string]string{ColStored: text}}
	}
	r := Result{Rows: []Row{row("6.1", "usual", 0, "a"), row("6.1", "usual", 31, "b"), row("7.2", "usual", 0, "c"), row("7.2", "usual", 31, "d"), row("7.2", "gigantic", 0, "e")}}
	r.Merge(&Result{Rows: []Row{row("7.2", "usual", 0, "C"), row("7.2", "usual", 16, "new"), row("7.2", "usual", 31, "D"), row("5.10", "usual", 0, "no")}})
	var got []string
	for _, row := range r.Rows {
		got = append(got, row.Cells[ColStored])
	}
	if s := strings.Join(got, " "); s != "a b C new D e" {
		t.Errorf("%q", s)
	}
}

func TestTableNamesDifferences(t *testing.T) {
	r := Result{Reference: "1.7.8", Drgn: "0.3.0", Crash: "9.0.2", Kernels: []string{"7.2"}, Rows: []Row{
		{Kernel: "7.2", Case: "usual", Level: 8, Codec: "lzo", Cells: map[string]string{ColStored: "120", ColReference: "100", ColDrgn: "50 tasks"},
			Differences: map[string]uint64{"tail-as-user": 20, "section-flag": 7}},
		{Kernel: "7.2", Case: "usual", Level: 31, Codec: "zstd", Cells: map[string]string{ColStored: "30", ColCrash: "FAILED"}, Errors: []string{"crash: bad"}},
	}}
	table := r.Table()
	for _, s := range []string{"100 +20 tail-as-user −7 section-flag", "FAILED", "kernel"} {
		if !strings.Contains(table, s) {
			t.Errorf("the table lacks %q:\n%s", s, table)
		}
	}
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 4 || len([]rune(lines[0])) != len([]rune(lines[2])) {
		t.Errorf("not aligned:\n%s", table)
	}
	for _, s := range []string{"| 150 ", "20 tail-as-user, 7 section-flag", "FAILED", "opens"} {
		if !strings.Contains(r.Summary(), s) {
			t.Errorf("the summary lacks %q:\n%s", s, r.Summary())
		}
	}
	if errs := r.Errors(); len(errs) != 1 {
		t.Errorf("%q", errs)
	}
	if doc := string(r.Document()); !strings.Contains(doc, table) || !strings.Contains(doc, "PG_waiters") {
		t.Error("the document lacks the table or the reasons")
	}
}

// Over all cores each codec meets each level, and at level 31 all codecs meet each core
// and are opened in every reader.
func TestDumpsCoverLevelsAndCodecs(t *testing.T) {
	met, turn := map[string]int{}, 0
	for _, k := range Kernels {
		for _, c := range k.Of() {
			levels, opened := map[int]int{}, map[string]bool{}
			for _, d := range dumps(c, turn, false) {
				levels[d.level]++
				met[fmt.Sprint(d.level, d.codec)]++
				if d.readers && d.level == 31 {
					opened[d.codec] = true
				}
			}
			for _, level := range Levels {
				if levels[level] == 0 {
					t.Errorf("%s%s, %s: no dump of level %d", k.Prefix, k.Flavour, c.Name, level)
				}
			}
			for _, codec := range Codecs {
				if !opened[codec] {
					t.Errorf("%s%s, %s: %s is opened in no reader", k.Prefix, k.Flavour, c.Name, codec)
				}
			}
			if opened[CapturedCodec] != c.Capture {
				t.Errorf("%s%s, %s: the dump of kdump-init is opened: %v", k.Prefix, k.Flavour, c.Name, opened[CapturedCodec])
			}
			turn++
		}
	}
	for _, level := range Levels {
		for _, codec := range Codecs {
			if met[fmt.Sprint(level, codec)] == 0 {
				t.Errorf("no dump of level %d in %s", level, codec)
			}
		}
	}
}

// A machine's console comes in pieces: no piece of a line may count as the line.
func TestSizeLine(t *testing.T) {
	for text, want := range map[string]string{
		"[ 1.0] MATRIX: core 816889856\r\n": "816889856",
		"[ 1.0] MATRIX: core 8168":          "none",
		"[ 1.0] MATRIX: failed: x\r\n":      "",
		"[ 1.0] MATRIX: failed: x":          "none",
	} {
		got := "none"
		if m := sizeLine.FindStringSubmatch(text); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
