package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	got := table([]figure{
		{name: "a", bar: 0.5, value: 0.4, ours: "4 s", ref: "10 s"},
		{name: "b", bar: 0.5, value: 0.6},
		{name: "c", bar: 2, value: 2.5, unit: "MB"},
		{name: "d", bar: 0.5, note: "nobody has it"},
		{name: "e", value: 3},
	}, []string{"a machine"})
	for _, want := range []string{
		"- a machine\n",
		"| a | 0.50 | 0.40 | met | 4 s | 10 s |\n",
		"| b | 0.50 | 0.60 | **missed** |",
		"| c | 2 MB | 2.5 MB | **missed** |",
		"| d | 0.50 | - | nobody has it |",
		"| e | - | 3.00 |  |",
		"- b: ", "- c: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "- a: ") || strings.Contains(got, "- d: ") {
		t.Errorf("a figure that is met, or not measured, is called missed:\n%s", got)
	}
}

func TestMedian(t *testing.T) {
	got := median([]Sample{{Wall: 9, CPU: 1, Bytes: 7}, {Wall: 1, CPU: 3, Bytes: 7}, {Wall: 2, CPU: 2, Bytes: 7, Private: 5}})
	if got != (Sample{Wall: 2, CPU: 2, Bytes: 7, Least: 1, Most: 9}) {
		t.Errorf("%+v", got)
	}
}

func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(out, []byte("of another run"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := run(t.Context(), out, "/bin/sh", "-c", "test ! -e "+out+" && echo 12345 > "+out+" && sleep 0.05")
	if err != nil || s.Bytes != 6 || s.Wall < 50*time.Millisecond || s.Private == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := run(t.Context(), out, "/bin/sh", "-c", "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("a run that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run(ctx, "", "/bin/sleep", "100"); err == nil {
		t.Error("a run goes on when it should end")
	}
}
