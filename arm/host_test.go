package arm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machineDir is a made-up machine: its files, and the kernel's side of kexec.
// A kernel or image with "errno=NAME" in it is refused with that error.
type machineDir struct {
	t    *testing.T
	root string
	host *Host
	// refuse is returned for every load before anything is thrown away.
	refuse error
	// deaf makes loads succeed without an effect.
	deaf    bool
	loads   int
	cmdline string // of the last load that worked
}

func newMachine(t *testing.T) *machineDir {
	m := &machineDir{t: t, root: t.TempDir()}
	m.host = &Host{
		Root: m.root, Kexec: m, Inspect: inspectText,
		Now: func() time.Time { return time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC) },
	}
	for path, text := range map[string]string{
		"/proc/cmdline":                         "console=ttyS0 crashkernel=128M quiet\n",
		"/proc/cpuinfo":                         "processor\t: 0\ninitial apicid\t: 0\n",
		"/proc/iomem":                           "00100000-3ffdffff : System RAM\n  34000000-3bffffff : Crash kernel\n",
		"/proc/sys/kernel/osrelease":            "6.1.0-test\n",
		"/proc/sys/kernel/random/boot_id":       "boot-1\n",
		"/proc/sys/kernel/panic_on_oops":        "1\n",
		"/sys/kernel/kexec_crash_loaded":        "0\n",
		"/sys/kernel/kexec_crash_size":          "134217728\n",
		"/boot/vmlinuz-6.1.0-test":              kernelText("6.1.0-test", ""),
		"/var/lib/gokdump/kdump-6.1.0-test.img": "kernel=6.1.0-test unpacked=2097152",
	} {
		m.write(path, text)
	}
	return m
}

func (m *machineDir) path(p string) string { return filepath.Join(m.root, p) }

func (m *machineDir) write(path, text string) {
	m.t.Helper()
	full := m.path(path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machineDir) read(path string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.path(path))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func (m *machineDir) LoadCrash(kernel, image *os.File, cmdline string) error {
	m.loads++
	if m.refuse != nil {
		return m.refuse
	}
	if m.deaf {
		return nil
	}
	m.write("/sys/kernel/kexec_crash_loaded", "0\n")
	for _, f := range []*os.File{kernel, image} {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		if err != nil {
			return err
		}
		for _, errno := range []unix.Errno{unix.ENOEXEC, unix.EADDRNOTAVAIL} {
			if bytes.Contains(b, []byte("errno="+unix.ErrnoName(errno))) {
				return errno
			}
		}
	}
	m.write("/sys/kernel/kexec_crash_loaded", "1\n")
	m.cmdline = cmdline
	return nil
}

func (m *machineDir) UnloadCrash() error {
	if m.refuse != nil {
		return m.refuse
	}
	if !m.deaf {
		m.write("/sys/kernel/kexec_crash_loaded", "0\n")
	}
	return nil
}

// kernelText is a bzImage that is nothing but a header, with more after it.
func kernelText(release, more string) string {
	b := make([]byte, 0x1000)
	le := binary.LittleEndian
	b[0x1f1] = 1
	le.PutUint32(b[0x1f4:], 0xc00/16)
	le.PutUint16(b[0x1fe:], 0xaa55)
	copy(b[0x202:], "HdrS\x0f\x02")
	le.PutUint16(b[0x20e:], 0x600)
	b[0x211], b[0x236] = 1, 0x3f
	le.PutUint32(b[0x238:], 2047)
	le.PutUint32(b[0x260:], 0x3378000)
	copy(b[0x800:], release+" (x@y) #1\x00")
	return string(b) + more
}

// inspectText reads an image that says "kernel=RELEASE unpacked=BYTES".
func inspectText(_ context.Context, r io.Reader) (ImageInfo, error) {
	var info ImageInfo
	_, err := fmt.Fscanf(r, "kernel=%s unpacked=%d", &info.Kernel, &info.Unpacked)
	if err != nil {
		return ImageInfo{}, errors.New("no plan in it")
	}
	return info, nil
}

func (m *machineDir) status() *Status {
	m.t.Helper()
	s, err := m.host.Status(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *machineDir) load(opt Options) *Loaded {
	m.t.Helper()
	done, err := m.host.Load(m.t.Context(), opt)
	if err != nil {
		m.t.Fatal(err)
	}
	return done
}

func (m *machineDir) loadFails(opt Options) *LoadError {
	m.t.Helper()
	_, err := m.host.Load(m.t.Context(), opt)
	var le *LoadError
	if !errors.As(err, &le) {
		m.t.Fatalf("error %v, want *LoadError", err)
	}
	return le
}

// wantState checks the state and that one of the reasons has text.
func (m *machineDir) wantState(want State, text string) {
	m.t.Helper()
	s := m.status()
	if s.State != want || !strings.Contains(strings.Join(s.Reasons, "\n"), text) {
		m.t.Errorf("state %q, reasons %q; want %q with %q", s.State, s.Reasons, want, text)
	}
	if (s.State == Armed) != (len(s.Reasons) == 0) || (s.State == Armed) != (s.Next == "") {
		m.t.Errorf("state %q with reasons %q and next step %q", s.State, s.Reasons, s.Next)
	}
}
