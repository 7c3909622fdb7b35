//go:build vm

package smoke

import (
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
)

// trigger is what the kernel says when sysrq makes it panic.
const trigger = "Kernel panic - not syncing: sysrq triggered crash"

// whole checks what a capture without trouble leaves: its files, its report and
// its log, and that our own verify agrees.
func whole(t *testing.T, l lab.Left) {
	t.Helper()
	want := []string{capture.ReadmeName, capture.CaptureLogName, capture.ReportName, capture.DumpName, capture.LogName}
	slices.Sort(want)
	if got := l.Names(); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	r := l.Report
	if r.Result != capture.Complete || r.Error != "" || r.LeftOutPages != 0 || r.Kernel != shared.Kernel.Release {
		t.Errorf("report: result %s, error %q at %q, %d pages left out, kernel %s", r.Result, r.Error, r.FailedStep, r.LeftOutPages, r.Kernel)
	}
	for _, w := range r.Warnings {
		t.Errorf("report warns: %s", w)
	}
	if !strings.Contains(r.Panic, "sysrq triggered crash") {
		t.Errorf("report: panic %q", r.Panic)
	}
	logSaved(t, l)
	if out, code := command(t, "kdump-vmcore", "verify", l.Path(capture.DumpName)); code != 0 {
		t.Errorf("kdump-vmcore verify: exit %d\n%s", code, out)
	}
}

// logSaved checks the crashed kernel's log: its first line, the guest's own lines
// and the panic.
func logSaved(t *testing.T, l lab.Left) {
	t.Helper()
	log := l.Text(capture.LogName)
	for _, s := range []string{"Linux version " + shared.Kernel.Release, script.Marker + "filled memory", trigger} {
		if !strings.Contains(log, s) {
			t.Errorf("%s (%d bytes) lacks %q", capture.LogName, len(log), s)
		}
	}
}

// drgn opens a dump of a machine.
func drgn(t *testing.T, machine *lab.Lab, core string) *readers.Findings {
	t.Helper()
	f, err := readers.Drgn(t.Context(), machine.Kernel.Debug, core)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// opensInDrgn opens the dump and compares it with what the guest saw.
func opensInDrgn(t *testing.T, o *lab.Outcome, core string) *readers.Findings {
	t.Helper()
	f, err := readers.Drgn(t.Context(), shared.Kernel.Debug, core)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, o, f)
	return f
}

func compare(t *testing.T, o *lab.Outcome, f *readers.Findings) {
	t.Helper()
	if f.Release != shared.Kernel.Release {
		t.Errorf("drgn: release %q", f.Release)
	}
	if f.CrashedComm != "init" || !slices.Contains(f.Frames, "sysrq_handle_crash") || !slices.Contains(f.Frames, "panic") {
		t.Errorf("drgn: backtrace of %s does not reach sysrq_handle_crash:\n%s", f.CrashedComm, f.Trace)
	}
	for _, m := range []string{"virtio_blk", "virtio_pci"} {
		if !slices.Contains(f.Modules, m) {
			t.Errorf("drgn: module %s is not among %q", m, f.Modules)
		}
	}
	if !strings.Contains(f.Dmesg, trigger) {
		t.Errorf("drgn: the log of %d bytes lacks the panic", len(f.Dmesg))
	}
	tasks(t, o, f.Tasks)
}

// tasks compares the dump's task list with the guest's own. The kernel's workers
// come, go and change their names between the two.
func tasks(t *testing.T, o *lab.Outcome, got map[string]string) {
	t.Helper()
	if len(o.Tasks) < 50 {
		t.Fatalf("the guest saw %d tasks only", len(o.Tasks))
	}
	workers := 0
	for id, name := range o.Tasks {
		name = name[:min(len(name), commLen)] // /proc has the whole name of a kernel thread
		switch {
		case strings.HasPrefix(name, "kworker/"):
		case got[id] != name:
			t.Errorf("task %s %q of the guest is %q in the dump", id, name, got[id])
		case strings.HasPrefix(name, script.WorkerName(0)[:len("gokdump-w")]):
			workers++
		}
	}
	if workers == 0 {
		t.Error("none of the guest's workers is among its tasks")
	}
	if d := len(got) - len(o.Tasks); d < -8 || d > 8 {
		t.Errorf("%d tasks in the dump, %d in the guest", len(got), len(o.Tasks))
	}
}

// commLen is how much of a name task_struct holds: TASK_COMM_LEN less the zero
// (include/linux/sched.h).
const commLen = 15

// opensInCrash opens the dump in crash 8.0.4 or later; wantTasks is what drgn
// counted, which leaves out the idle task of each CPU.
func opensInCrash(t *testing.T, core string, wantTasks, cpus int) {
	t.Helper()
	out, err := newer.Crash(t.Context(), shared.Kernel.Debug, core, "sys", "bt", "ps", "log")
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"sys": "RELEASE: " + shared.Kernel.Release,
		"bt":  "sysrq_handle_crash",
		"log": trigger,
		"ps":  script.WorkerName(0),
	} {
		if !strings.Contains(out[command], want) {
			t.Errorf("crash> %s lacks %q:\n%.3000s", command, want, out[command])
		}
	}
	if marked, partial := strings.Contains(out["sys"], "[INCOMPLETE]"), strings.HasSuffix(core, capture.PartialName); marked != partial {
		t.Errorf("crash> sys: incomplete %v, but the dump's name says %v", marked, partial)
	}
	if got := strings.Count(out["ps"], "\n") - 1; got != wantTasks+cpus {
		t.Errorf("crash> ps lists %d tasks, want %d and %d idle ones", got, wantTasks, cpus)
	}
}
