//go:build vm

package smoke

import (
	"regexp"
	"slices"
	"testing"

	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
)

// The exit codes of kdump-arm, from a real kernel's answers.
func TestArming(t *testing.T) {
	for _, tt := range []struct {
		name  string
		story lab.Story
		argv  [][]string
		codes []string
	}{
		{
			name: "reserved",
			argv: [][]string{
				{"status"}, {"load"}, {"status"}, {"status", "--json"},
				{"load", "--kernel", "/nonexistent"}, {"status"}, // the pair that was armed stays
				{"load", "--kernel", "/init"}, {"status"},
				{"load"}, {"unload"}, {"status"}, {"unload"},
			},
			codes: []string{"2", "0", "0", "0", "1", "0", "1", "0", "0", "0", "2", "0"},
		},
		{
			name:  "nothing-reserved",
			story: lab.Story{Reserve: "none"},
			argv:  [][]string{{"status"}, {"load"}, {"status"}},
			codes: []string{"3", "3", "3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var steps []script.Step
			for _, a := range tt.argv {
				steps = append(steps, script.Step{Run: append([]string{"/usr/sbin/kdump-arm"}, a...)})
			}
			o, err := shared.Boot(t.Context(), dir(t), tt.story, steps...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range regexp.MustCompile(`GUEST: exit (-?\d+): `).FindAllStringSubmatch(o.Console, -1) {
				got = append(got, m[1])
			}
			if !slices.Equal(got, tt.codes) {
				t.Errorf("exit codes %q, want %q, of %q; see %s", got, tt.codes, tt.argv, o.Log)
			}
		})
	}
}
