package arm

import (
	"context"
	"errors"
	"github.com/gokdump/gokdump/arm/armtest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	imagePath  = "/var/lib/gokdump/kdump-6.1.0-test.img"
	kernelPath = "/boot/vmlinuz-6.1.0-test"
	goodImage  = "kernel=6.1.0-test unpacked=2097152"
)

func TestLoad(t *testing.T) {
	m := newMachine(t)
	m.wantState(NotArmed, "no crash kernel is loaded")
	m.write("/etc/kdump.conf", "level 31\n")
	done := m.load(Options{Config: m.path("/etc/kdump.conf")})
	if want := "console=ttyS0 " + x86Tail; m.Cmdline != want {
		t.Errorf("command line\n%s\nwant\n%s", m.Cmdline, want)
	}
	if done.Check.Reserved != 128<<20 || done.Check.Release != "6.1.0-test" || len(done.Warnings) != 0 {
		t.Errorf("%+v, warnings %q", done.Check, done.Warnings)
	}
	m.wantState(Armed, "")
	s := m.status()
	if s.Loaded.Time.Year() != 2026 || s.LastGood.Year() != 2026 || s.Regions[0] != "0x34000000-0x3bffffff" {
		t.Errorf("status %+v", s)
	}
	for path, want := range map[string]os.FileMode{runDir + "/armed.json": 0o644, lastGoodDir: os.ModeDir | 0o700, lastGoodDir + "/pair.json": 0o600} {
		if fi, err := os.Stat(m.path(path)); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, fi.Mode(), err, want)
		}
	}
}

// Every way in which the loaded pair may be out of date.
func TestStale(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		do         func(m *machineDir)
	}{
		{"kernel changed", "vmlinuz-6.1.0-test has changed", func(m *machineDir) { m.write(kernelPath, armtest.Kernel("6.1.0-test", "new")) }},
		{"image changed, same size", "img has changed", func(m *machineDir) { m.write(imagePath, strings.Replace(goodImage, "2", "3", 1)) }},
		{"image gone", "is gone", func(m *machineDir) { os.Remove(m.path(imagePath)) }},
		{"config new", "kdump.conf is new", func(m *machineDir) { m.write("/etc/kdump.conf", "level 1\n") }},
		{"memory added", "memory was plugged", func(m *machineDir) {
			m.write("/proc/iomem", m.read("/proc/iomem")+"100000000-13fffffff : System RAM\n")
		}},
		{"other boot", "not by kdump-arm", func(m *machineDir) { m.write("/proc/sys/kernel/random/boot_id", "boot-2\n") }},
		{"record lost", "not by kdump-arm", func(m *machineDir) { os.Remove(m.path(runDir + "/armed.json")) }},
		{"record damaged", "unreadable", func(m *machineDir) { m.write(runDir+"/armed.json", "{") }},
		{"record of another version", "version 9", func(m *machineDir) { m.write(runDir+"/armed.json", `{"version":9}`) }},
		{"record with a path for a digest", "no SHA-256", func(m *machineDir) {
			m.write(runDir+"/armed.json", `{"version":1,"kernel":{"sha256":"../x"},"image":{"sha256":"../x"}}`)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.load(Options{Config: m.path("/etc/kdump.conf")})
			m.wantState(Armed, "")
			tt.do(m)
			m.wantState(Stale, tt.want)
		})
	}
}

// A touched file with the same content is no reason to call it stale.
func TestTouchedIsCurrent(t *testing.T) {
	m := newMachine(t)
	m.load(Options{})
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(m.path(imagePath), later, later); err != nil {
		t.Fatal(err)
	}
	m.wantState(Armed, "")
}

func TestHotplugFollowedByKernel(t *testing.T) {
	m := newMachine(t)
	m.write("/sys/devices/system/memory/crash_hotplug", "1\n")
	m.load(Options{})
	m.write("/proc/iomem", m.read("/proc/iomem")+"100000000-13fffffff : System RAM\n")
	m.wantState(Armed, "")
}

func TestNoReservation(t *testing.T) {
	m := newMachine(t)
	m.write("/sys/kernel/kexec_crash_size", "0\n")
	m.wantState(NoReservation, "no memory is reserved")
	le := m.loadFails(Options{})
	if !errors.Is(le, ErrNoReservation) || !strings.Contains(Hint(le), "crashkernel=") || m.Loads != 0 {
		t.Errorf("%v, hint %q, %d calls", le, Hint(le), m.Loads)
	}
	if _, err := m.host.Unload(t.Context()); !errors.Is(err, ErrNoReservation) {
		t.Errorf("unload: %v", err)
	}
}

// A load that fails in the kernel has thrown the old pair away: it comes back.
func TestPutBack(t *testing.T) {
	m := newMachine(t)
	m.load(Options{})
	good := m.Cmdline
	m.write(imagePath, goodImage+" errno=EADDRNOTAVAIL")
	le := m.loadFails(Options{Wishes: Wishes{Append: "new"}})
	if le.Outcome != PutBack || !errors.Is(le, unix.EADDRNOTAVAIL) || !strings.Contains(le.State(), "armed again") {
		t.Fatalf("outcome %v, %v", le.Outcome, le)
	}
	if m.Cmdline != good || m.Loads != 3 {
		t.Errorf("%d loads, the last with %q", m.Loads, m.Cmdline)
	}
	m.wantState(Stale, "last good pair was put back")
	m.wantState(Stale, "img has changed")

	// With a good image again, all is well.
	m.write(imagePath, goodImage)
	m.load(Options{})
	m.wantState(Armed, "")
}

// At boot nothing is armed yet: a pair that fails a check before the call is
// replaced by the last good one too.
func TestPutBackAfterCheck(t *testing.T) {
	for name, bad := range map[string]func(m *machineDir) Options{
		"garbage kernel": func(m *machineDir) Options { m.write(kernelPath, "garbage"); return Options{} },
		"no image":       func(m *machineDir) Options { os.Remove(m.path(imagePath)); return Options{} },
		"image for another kernel": func(m *machineDir) Options {
			m.write(imagePath, "kernel=5.10.0 unpacked=1")
			return Options{}
		},
		"long line": func(m *machineDir) Options { return Options{Wishes: Wishes{Append: strings.Repeat("x", 2000)}} },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.load(Options{})
			m.write("/sys/kernel/kexec_crash_loaded", "0\n") // a new boot
			m.write("/proc/sys/kernel/random/boot_id", "boot-2\n")
			le := m.loadFails(bad(m))
			if le.Outcome != PutBack || Hint(le) == "" {
				t.Errorf("outcome %v, hint %q: %v", le.Outcome, Hint(le), le)
			}
			m.wantState(Stale, "last good pair was put back")
		})
	}
}

func TestStillArmed(t *testing.T) {
	m := newMachine(t)
	m.load(Options{})
	// Found before the call: nothing is touched.
	le := m.loadFails(Options{Image: m.path("/absent")})
	if le.Outcome != StillArmed || !errors.Is(le, os.ErrNotExist) {
		t.Errorf("outcome %v: %v", le.Outcome, le)
	}
	m.wantState(Armed, "")
	// Refused by the kernel before it let go of the old one.
	m.Refuse = unix.EPERM
	le = m.loadFails(Options{})
	if le.Outcome != StillArmed || !errors.Is(le, unix.EPERM) {
		t.Errorf("outcome %v: %v", le.Outcome, le)
	}
	m.wantState(Armed, "")
}

func TestDisarmed(t *testing.T) {
	bad := armtest.Kernel("6.1.0-test", "errno=ENOEXEC")
	for _, tt := range []struct {
		name, want string
		do         func(m *machineDir)
	}{
		{"never worked", errNoPair.Error(), func(m *machineDir) { m.write(kernelPath, bad) }},
		{"copy damaged", "is damaged", func(m *machineDir) {
			m.load(Options{})
			copies, _ := filepath.Glob(m.path(lastGoodDir + "/image-*"))
			if len(copies) != 1 || os.WriteFile(copies[0], []byte("x"), 0o600) != nil {
				m.t.Fatalf("copies %q", copies)
			}
			m.write(kernelPath, bad)
		}},
		{"copy lost", "no such file", func(m *machineDir) {
			m.load(Options{})
			copies, _ := filepath.Glob(m.path(lastGoodDir + "/kernel-*"))
			if len(copies) != 1 || os.Remove(copies[0]) != nil {
				m.t.Fatalf("copies %q", copies)
			}
			m.write(kernelPath, bad)
		}},
		{"no longer loads", "does not load either", func(m *machineDir) {
			m.load(Options{})
			m.write("/sys/kernel/kexec_crash_loaded", "0\n")
			m.Refuse = unix.EPERM
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.do(m)
			le := m.loadFails(Options{})
			if le.Outcome != Disarmed || !strings.Contains(le.State(), "DISARMED") || !strings.Contains(le.State(), tt.want) {
				t.Errorf("outcome %v, %q, want DISARMED with %q", le.Outcome, le.State(), tt.want)
			}
			m.wantState(NotArmed, "")
		})
	}
}

func TestLoadWithoutEffect(t *testing.T) {
	m := newMachine(t)
	m.Deaf = true
	le := m.loadFails(Options{})
	if !strings.Contains(le.Err.Error(), "says that none is loaded") {
		t.Error(le)
	}
}

// The last good pair follows the loads, and only one pair is kept.
func TestLastGoodIsReplaced(t *testing.T) {
	m := newMachine(t)
	m.load(Options{})
	m.write(lastGoodDir+"/.half-made", "x")
	m.write(imagePath, "kernel=6.1.0-test unpacked=7")
	m.load(Options{})
	entries, err := os.ReadDir(m.path(lastGoodDir))
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v; want pair.json, one kernel, one image", entries, err)
	}
	// Overwriting the image in place does not reach the copy.
	m.write(imagePath, "errno=ENOEXEC")
	le := m.loadFails(Options{Force: true})
	if le.Outcome != PutBack {
		t.Error(le)
	}
}

func TestUnload(t *testing.T) {
	m := newMachine(t)
	if was, err := m.host.Unload(t.Context()); was || err != nil {
		t.Errorf("nothing loaded: %v, %v", was, err)
	}
	m.load(Options{})
	if was, err := m.host.Unload(t.Context()); !was || err != nil {
		t.Errorf("loaded: %v, %v", was, err)
	}
	m.wantState(NotArmed, "")
	if _, err := os.Stat(m.path(runDir + "/armed.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record stays: %v", err)
	}
	m.load(Options{})
	m.Deaf = true
	if _, err := m.host.Unload(t.Context()); err == nil {
		t.Error("an unload without effect is called one")
	}
	m.Deaf, m.Refuse = false, unix.EPERM
	if _, err := m.host.Unload(t.Context()); !errors.Is(err, unix.EPERM) {
		t.Errorf("error %v, want EPERM", err)
	}
}

// An interrupted load must not leave the machine without what it can have.
func TestPutBackAfterInterrupt(t *testing.T) {
	m := newMachine(t)
	m.load(Options{})
	m.write("/sys/kernel/kexec_crash_loaded", "0\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.host.Load(ctx, Options{})
	var le *LoadError
	if !errors.As(err, &le) || le.Outcome != PutBack || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one of an interrupt, with the last good pair put back", err)
	}
}

func TestLockHasDeadline(t *testing.T) {
	m := newMachine(t)
	unlock, err := m.host.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := m.host.Load(ctx, Options{}); !errors.Is(err, context.DeadlineExceeded) || Hint(err) == "" {
		t.Errorf("error %v, want a deadline and a hint", err)
	}
	unlock()
	m.load(Options{})
}
