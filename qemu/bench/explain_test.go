package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A missed figure of a dump gets its profile and what it can take at least.
func TestExplain(t *testing.T) {
	dir := t.TempDir()
	b := &bench{ours: filepath.Join(dir, "kdump-vmcore"), self: filepath.Join(dir, "bench"), core: filepath.Join(dir, "core"), work: dir, runs: 1, progress: io.Discard}
	for prog, pkg := range map[string]string{b.ours: "../../cmd/kdump-vmcore", b.self: "."} {
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", prog, pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if err := writeSparse(b.core, 8<<30, false); err != nil {
		t.Fatal(err)
	}
	b.figures = []figure{
		{name: "wall", bar: 1, value: 2, spread: "1 to 2 s", codec: "lzo", level: "31", cpus: 1},
		{name: "met", bar: 1, value: 1, codec: "lzo", level: "31", cpus: 1},
		{name: "other", bar: 1, value: 2, spread: "3 to 4 s"},
	}
	if err := b.explain(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^the runs took from 1 to 2 s; of \d+\.\d\d s in a profiled run, .* CPU time .*reading pages \d.*The same dump without compression, \d+\.\d MB .*; writing the \d+\.\d MB of the output`)
	if got := b.figures[0].limit; !want.MatchString(got) {
		t.Errorf("%q", got)
	}
	if b.figures[1].limit != "" || b.figures[2].limit != "the runs took from 3 to 4 s" {
		t.Errorf("%q, %q", b.figures[1].limit, b.figures[2].limit)
	}
}
