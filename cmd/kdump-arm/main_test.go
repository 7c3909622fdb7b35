package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/arm"
)

// TestMain makes this test binary the command too. It is the real one, except
// that the machine is a made-up one below $ROOT, with a kernel that only
// pretends to load.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kdump-arm": func() {
			root := os.Getenv("ROOT")
			p := &program{
				host:   arm.Host{Root: root, Kexec: fakeKernel(root), Inspect: inspectText},
				stdout: os.Stdout,
				stderr: os.Stderr,
			}
			if os.Getenv("NOROOT") != "" {
				p.euid = 1000
			}
			os.Exit(p.run(context.Background(), os.Args[1:]))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"hook": cmdHook, "posted": cmdPosted},
		Setup: func(e *testscript.Env) error {
			root := filepath.Join(e.WorkDir, "root")
			e.Setenv("ROOT", root)
			return fakeMachine(root)
		},
	})
}

// fakeMachine makes the files of a machine below root.
func fakeMachine(root string) error {
	for path, text := range map[string]string{
		"/proc/cmdline":                         "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro console=ttyS0 crashkernel=128M\n",
		"/proc/cpuinfo":                         "processor\t: 0\ninitial apicid\t: 4\n",
		"/proc/iomem":                           "00100000-3ffdffff : System RAM\n  34000000-3bffffff : Crash kernel\n",
		"/proc/self/mountinfo":                  "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n",
		"/proc/sys/kernel/osrelease":            "6.1.0-test\n",
		"/proc/sys/kernel/random/boot_id":       "boot-1\n",
		"/proc/sys/kernel/panic_on_oops":        "1\n",
		"/sys/kernel/kexec_crash_loaded":        "0\n",
		"/sys/kernel/kexec_crash_size":          "134217728\n",
		"/sys/kernel/security/lockdown":         "[none] integrity confidentiality\n",
		"/boot/vmlinuz-6.1.0-test":              kernelText("6.1.0-test"),
		"/boot/vmlinuz-5.10.0":                  kernelText("5.10.0"),
		"/var/lib/gokdump/kdump-6.1.0-test.img": "kernel=6.1.0-test unpacked=2097152",
	} {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fakeKernel is the root of a machine whose kernel takes everything but files
// with "errno=" in them.
type fakeKernel string

func (k fakeKernel) set(loaded string) error {
	return os.WriteFile(filepath.Join(string(k), "/sys/kernel/kexec_crash_loaded"), []byte(loaded+"\n"), 0o644)
}

func (k fakeKernel) LoadCrash(kernel, image *os.File, _ string) error {
	if err := k.set("0"); err != nil {
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
	return k.set("1")
}

func (k fakeKernel) UnloadCrash() error { return k.set("0") }

func kernelText(release string) string {
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
	return string(b)
}

// inspectText stands for the reader of images, so that a script can write one.
func inspectText(_ context.Context, r io.Reader) (arm.ImageInfo, error) {
	var info arm.ImageInfo
	if _, err := fmt.Fscanf(r, "kernel=%s unpacked=%d", &info.Kernel, &info.Unpacked); err != nil {
		return arm.ImageInfo{}, errors.New("no plan in it")
	}
	return info, nil
}
