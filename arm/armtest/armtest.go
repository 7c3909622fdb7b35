// Package armtest is a made-up machine to be armed: its files, and the kernel's side of
// kexec. It is test code only; what a real kernel does otherwise is for the tests in
// virtual machines.
package armtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Machine is a machine whose files lie below Root. A kernel or image with "errno=NAME"
// in it is refused with that error.
type Machine struct {
	Root string
	// Refuse is returned for every load before anything is thrown away.
	Refuse error
	// Deaf makes loads succeed without an effect.
	Deaf bool
	// Loads counts the calls; Cmdline is of the last load that worked.
	Loads   int
	Cmdline string
}

// New makes the files of a machine of release 6.1.0-test with 128 MiB reserved, and
// files beside them or in their place.
func New(root string, files map[string]string) (*Machine, error) {
	m := &Machine{Root: root}
	for _, list := range []map[string]string{{
		"/proc/cmdline":                         "console=ttyS0 crashkernel=128M quiet\n",
		"/proc/cpuinfo":                         "processor\t: 0\ninitial apicid\t: 0\n",
		"/proc/iomem":                           "00100000-3ffdffff : System RAM\n  34000000-3bffffff : Crash kernel\n",
		"/proc/sys/kernel/osrelease":            "6.1.0-test\n",
		"/proc/sys/kernel/random/boot_id":       "boot-1\n",
		"/proc/sys/kernel/panic_on_oops":        "1\n",
		"/sys/kernel/kexec_crash_loaded":        "0\n",
		"/sys/kernel/kexec_crash_size":          "134217728\n",
		"/boot/vmlinuz-6.1.0-test":              Kernel("6.1.0-test", ""),
		"/var/lib/gokdump/kdump-6.1.0-test.img": "kernel=6.1.0-test unpacked=2097152",
	}, files} {
		for path, text := range list {
			if err := m.Write(path, text); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// Write makes one of its files.
func (m *Machine) Write(path, text string) error {
	full := filepath.Join(m.Root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	return os.WriteFile(full, []byte(text), 0o644)
}

func (m *Machine) set(loaded string) error {
	return m.Write("/sys/kernel/kexec_crash_loaded", loaded+"\n")
}

// LoadCrash implements kexec.Caller.
func (m *Machine) LoadCrash(kernel, image *os.File, cmdline string) error {
	m.Loads++
	if m.Refuse != nil {
		return m.Refuse
	}
	if m.Deaf {
		return nil
	}
	if err := m.set("0"); err != nil {
		return err
	}
	for _, f := range []*os.File{kernel, image} {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		if err != nil {
			return err
		}
		for _, errno := range []unix.Errno{unix.ENOEXEC, unix.EADDRNOTAVAIL, unix.EPERM, unix.ENOSYS} {
			if bytes.Contains(b, []byte("errno="+unix.ErrnoName(errno))) {
				return errno
			}
		}
	}
	m.Cmdline = cmdline
	return m.set("1")
}

// UnloadCrash implements kexec.Caller.
func (m *Machine) UnloadCrash() error {
	if m.Refuse != nil {
		return m.Refuse
	}
	if m.Deaf {
		return nil
	}
	return m.set("0")
}

// Kernel is a bzImage that is nothing but a header, with more after it.
func Kernel(release, more string) string {
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

// Inspect reads an image that says "kernel=RELEASE unpacked=BYTES".
func Inspect(r io.Reader) (kernel string, unpacked uint64, err error) {
	if _, err := fmt.Fscanf(r, "kernel=%s unpacked=%d", &kernel, &unpacked); err != nil {
		return "", 0, errors.New("no plan in it")
	}
	return kernel, unpacked, nil
}
