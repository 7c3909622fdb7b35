package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokdump/gokdump/arm"
	"github.com/gokdump/gokdump/arm/armtest"
)

// TestMain makes this test binary the command too. It is the real one, except
// that the machine is a made-up one below $ROOT, with a kernel that only
// pretends to load.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kdump-arm": func() {
			root := os.Getenv("ROOT")
			p := &program{
				host:   arm.Host{Root: root, Kexec: &armtest.Machine{Root: root}, Inspect: inspectText},
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
	_, err := armtest.New(root, map[string]string{
		"/proc/cmdline":                 "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro console=ttyS0 crashkernel=128M\n",
		"/proc/cpuinfo":                 "processor\t: 0\ninitial apicid\t: 4\n",
		"/proc/self/mountinfo":          "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n",
		"/sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
		"/boot/vmlinuz-5.10.0":          armtest.Kernel("5.10.0", ""),
	})
	return err
}

// inspectText stands for the reader of images, so that a script can write one.
func inspectText(_ context.Context, r io.Reader) (arm.ImageInfo, error) {
	kernel, unpacked, err := armtest.Inspect(r)
	return arm.ImageInfo{Kernel: kernel, Unpacked: unpacked}, err
}
