package capture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/past"
)

// Several crashes of one machine into one directory, with the rules on.
func TestRunRules(t *testing.T) {
	core := synth.ELF(synth.Options{})
	dir, tg := dirTarget(t)
	if err := os.MkdirAll(filepath.Join(dir, "db1-2001-01-01T00-00-00Z"), 0o700); err != nil { // an old capture died
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "precious.txt"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(t, core, tg)
	cfg.Keep = past.Keep{Dumps: 2}
	for i, want := range []struct {
		result  Result
		removed []string
		there   string
	}{
		{Complete, nil, crashDir + " db1-2001-01-01T00-00-00Z precious.txt"},
		{Complete, []string{"db1-2001-01-01T00-00-00Z"}, crashDir + " " + crashDir + "-02 precious.txt"},
		{Complete, []string{crashDir}, crashDir + "-02 " + crashDir + "-03 precious.txt"},
	} {
		rep, err := Run(t.Context(), cfg)
		if err != nil || rep.Result != want.result || !slices.Equal(rep.Removed, want.removed) {
			t.Errorf("crash %d: %s, removed %q, want %q: %v", i+1, rep.Result, rep.Removed, want.removed, err)
		}
		got := strings.Fields(names(t, dir))
		slices.Sort(got)
		wanted := strings.Fields(want.there)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) {
			t.Errorf("crash %d: %q, want %q", i+1, got, wanted)
		}
	}

	cfg.Guard = past.Guard{Dumps: 3, Within: time.Hour} // of two that are kept
	rep, err := Run(t.Context(), cfg)
	if err != nil || rep.Result != LogOnly || rep.Loop == "" || rep.Removed != nil {
		t.Errorf("in a loop: %s, %q, removed %q, %v", rep.Result, rep.Loop, rep.Removed, err)
	}
	out := filepath.Join(dir, rep.Dir)
	if got, want := names(t, out), "README.txt report.json vmcore-dmesg.txt"; got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	if text, _ := os.ReadFile(filepath.Join(out, ReadmeName)); !strings.Contains(string(text), "LOG ONLY") {
		t.Errorf("README.txt:\n%s", text)
	}
	if rep.Uptime <= 0 {
		t.Error("the report lacks the uptime")
	}
}

// A capture that fails removes nothing.
func TestRunFailedRemovesNothing(t *testing.T) {
	dir, tg := dirTarget(t)
	cfg := config(t, synth.ELF(synth.Options{}), tg)
	for range 2 {
		if _, err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	bad := config(t, nil, tg)
	bad.Keep = past.Keep{Dumps: 1, Free: 1 << 60}
	rep, err := Run(t.Context(), bad)
	if err == nil || rep.Removed != nil || len(strings.Fields(names(t, dir))) != 3 {
		t.Errorf("removed %q; left: %s; %v", rep.Removed, names(t, dir), err)
	}
}
