package readers

import (
	"strings"
	"testing"
)

func TestNewEnough(t *testing.T) {
	for out, want := range map[string]bool{
		"\ncrash 8.0.6\nCopyright": true,
		"crash 8.0.4":              true,
		"crash 8.1.0":              true,
		"crash 9.0.0":              true,
		"crash 8.0.2":              false,
		"crash 7.3.9":              false,
		"crash eight":              false,
		"":                         false,
	} {
		if got := newEnough(out); got != want {
			t.Errorf("%q: %v", out, got)
		}
	}
}

func TestSplit(t *testing.T) {
	got, err := split("noise\n=== gokdump 0\nKERNEL: x\n=== gokdump 1\nPID 1\nPID 2\n", []string{"sys", "ps"})
	if err != nil || got["sys"] != "KERNEL: x\n" || got["ps"] != "PID 1\nPID 2\n" {
		t.Errorf("%q, %v", got, err)
	}
	for name, said := range map[string]string{
		"an incomplete dump":          "WARNING: /mnt/1:\n    This dumpfile is incomplete.  This may\n",
		"a CPU stopped in the switch": "crash: inconsistent active task indications for CPU 1:\n  runqueue: ffff8e1181253000 \"swapper/1\" (default)\n",
	} {
		if _, err := split(said+"=== gokdump 0\n", []string{"sys"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, out := range map[string]string{
		"command missing": "=== gokdump 0\nx\n",
		"a warning":       "WARNING: cannot read\n=== gokdump 0\n=== gokdump 1\n",
		"page excluded":   "=== gokdump 0\n=== gokdump 1\nps: page excluded: kernel virtual address\n",
		"an error":        "crash: invalid something\n=== gokdump 0\n=== gokdump 1\n",
	} {
		if got, err := split(out, []string{"sys", "ps"}); err == nil {
			t.Errorf("%s: passed as %q", name, got)
		}
	}
}

func TestReaderMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r := &Readers{}
	if _, err := Drgn(t.Context(), "vmlinux", "core"); err == nil || !strings.Contains(err.Error(), "drgn") {
		t.Errorf("drgn: %v", err)
	}
	if _, err := r.Crash(t.Context(), "vmlinux", "core", "sys"); err == nil || !strings.Contains(err.Error(), "crash") {
		t.Errorf("crash: %v", err)
	}
}
