//go:build vm

package smoke

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu/lab"
)

// wrongClock is what a machine without a battery for its clock starts with.
const wrongClock = "1970-01-01"

// crashIn plays a story in a folder of its own below work and gives all that the disk
// holds then.
func crashIn(t *testing.T, work, name string, s lab.Story) (*lab.Outcome, []lab.Left) {
	t.Helper()
	d := filepath.Join(work, name)
	if err := os.MkdirAll(d, 0o755); err != nil {
		t.Fatal(err)
	}
	o, err := shared.Run(t.Context(), d, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: panic after %.1f s, end %.1f s later", name, o.ToPanic.Seconds(), o.ToEnd.Seconds())
	all, err := o.Left(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Report == nil {
			t.Fatalf("%s: %s has no report among %q", name, l.Name, l.Names())
		}
	}
	return o, all
}

// A dump that only the holder of a key can read, of a machine whose clock is wrong;
// then the same machine crashes again, and only the log is saved.
func TestEncryptedAndAgain(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	work := dir(t)
	key := filepath.Join(work, "key")
	if err := os.WriteFile(key, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := lab.DefaultConfig + "recipient " + id.Recipient().String() + "\nloop_guard 1 60m\n"
	o, all := crashIn(t, work, "first", lab.Story{Config: config, Clock: wrongClock})
	if len(all) != 1 {
		t.Fatalf("%d directories", len(all))
	}
	l := all[0]
	if want := []string{capture.ReadmeName, capture.CaptureLogName, capture.ReportName, "vmcore-dmesg.txt.age", "vmcore.age"}; !slices.Equal(l.Names(), want) {
		t.Errorf("files %q, want %q", l.Names(), want)
	}
	r := l.Report
	if r.Result != capture.Complete || !r.Encrypted || r.LeftOutPages != 0 || r.Uptime <= 0 {
		t.Errorf("report: %s, encrypted %v, %d pages left out, uptime %v, error %q", r.Result, r.Encrypted, r.LeftOutPages, r.Uptime, r.Error)
	}
	if !strings.HasPrefix(l.Name, "smoke-1970-01-01T00-0") || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "clock") {
		t.Errorf("directory %s, warnings %q: want 1970 and a warning of it", l.Name, r.Warnings)
	}
	if out, code := command(t, "kdump-vmcore", "info", l.Path("vmcore.age")); code == 0 || !strings.Contains(out, "encrypted: decrypt it first") {
		t.Errorf("info of what is encrypted: exit %d\n%s", code, out)
	}
	if strings.Contains(l.Text(capture.CaptureLogName), "filled memory") {
		t.Error("the crashed kernel's log is in capture.log, in the clear")
	}
	if out, code := command(t, "kdump-vmcore", "decrypt", "-i", key, l.Dir); code != 0 {
		t.Fatalf("decrypt: exit %d\n%s", code, out)
	}
	logSaved(t, l)
	if out, code := command(t, "kdump-vmcore", "verify", l.Path(capture.DumpName)); code != 0 {
		t.Errorf("kdump-vmcore verify: exit %d\n%s", code, out)
	}
	opensInDrgn(t, o, l.Path(capture.DumpName))
	console(t, o, "random numbers were there after")

	// By the clock the second crash is at the same time as the first, or before it.
	_, all = crashIn(t, work, "second", lab.Story{Config: config, Clock: wrongClock, Again: o.Disk})
	if len(all) != 2 || all[0].Name != l.Name {
		t.Fatalf("%d directories after the second crash", len(all))
	}
	second := all[1]
	r = second.Report
	if r.Result != capture.LogOnly || !strings.Contains(r.Loop, "how long the kernels ran") || r.Error != "" {
		t.Errorf("second crash: %s, loop %q, error %q", r.Result, r.Loop, r.Error)
	}
	if want := []string{capture.ReadmeName, capture.CaptureLogName, capture.ReportName, "vmcore-dmesg.txt.age"}; !slices.Equal(second.Names(), want) {
		t.Errorf("files %q, want %q", second.Names(), want)
	}
	if out, code := command(t, "kdump-vmcore", "decrypt", "-i", key, second.Dir); code != 0 {
		t.Errorf("decrypt: exit %d\n%s", code, out)
	}
	logSaved(t, second)
}

// Three crashes onto one disk, of which two dumps are to be kept. Somebody's own file
// lies beside them.
func TestRetention(t *testing.T) {
	if !allTargets() {
		return // three machines: in make test-targets
	}
	t.Parallel()
	work := dir(t)
	story := lab.Story{Config: lab.DefaultConfig + "keep 2\nloop_guard off\n"}
	var names []string
	for i, clock := range []string{"", wrongClock, ""} {
		story.Clock = clock
		o, all := crashIn(t, work, []string{"first", "second", "third"}[i], story)
		story.Again = o.Disk
		last := all[len(all)-1]
		if last.Report.Result != capture.Complete {
			t.Errorf("crash %d: %s: %s", i+1, last.Report.Result, last.Report.Error)
		}
		if got := len(last.Report.Removed); (got > 0) != (i == 2) || got > 0 && last.Report.Removed[0] != names[0] {
			t.Errorf("crash %d removed %q; before it there were %q", i+1, last.Report.Removed, names)
		}
		names = nil
		for _, l := range all {
			names = append(names, l.Name)
		}
		if len(names) != min(i+1, 2) {
			t.Errorf("crash %d leaves %q", i+1, names)
		}
	}
}
