package lab

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// SystemSuite is the Debian release that [Lab.System] runs.
const SystemSuite = "bookworm"

// SystemPackages are what a [Lab.System] needs beside a minimal Debian.
func SystemPackages() []string { return []string{"systemd-sysv", "udev", "kmod"} }

// crashUnit says how the machine is armed, once it is up, and crashes it; not again
// when it comes back, nor in a crash kernel that boots the whole system.
const crashUnit = `[Unit]
After=multi-user.target
ConditionPathExists=!/proc/vmcore
ConditionPathExistsGlob=!/var/crash/*-*

[Service]
Type=oneshot
StandardOutput=journal+console
ExecStart=/bin/sh -c '%s'
ExecStart=/bin/sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger'

[Install]
WantedBy=graphical.target multi-user.target
`

// Setup is a Debian that arms itself; see [Lab.SystemOf].
type Setup struct {
	// Root makes or finds the system that it is copied from.
	Root func(ctx context.Context) (string, error)
	// Commands are run as root when the kernel lies in the copy, in turns.
	Commands [][]string
	// Report is a shell command that says how the machine is armed.
	Report string
	// Reserve is the value of crashkernel=; empty means [DefaultReserve].
	Reserve string
}

// System boots a real Debian with systemd, on which "make install" of this tree
// was done and the unit enabled, and nothing else: no kdump.conf, no image. Its
// units build the image, arm and, once it is up, crash; the dump lies in
// /var/crash on its root file system.
func (l *Lab) System(ctx context.Context, dir string) (*Outcome, error) {
	root := filepath.Join(dir, "root")
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("lab: go env GOMOD: %w", err)
	}
	tree := filepath.Dir(strings.TrimSpace(string(mod)))
	return l.SystemOf(ctx, dir, Setup{
		Root: func(ctx context.Context) (string, error) {
			cache, err := debian.CacheDir()
			if err != nil {
				return "", err
			}
			return debian.Root(ctx, cache, SystemSuite, SystemPackages(), os.Stderr)
		},
		Commands: [][]string{
			{"make", "-C", tree, "--no-print-directory", "install", "DESTDIR=" + root},
			{"chroot", root, "systemctl", "enable", "gokdump.service"},
		},
		Report: "echo \"GUEST: gokdump.service is $$(systemctl is-active gokdump)\"; /usr/sbin/kdump-arm status; echo \"GUEST: kdump-arm status is $$?\"",
	})
}

// SystemOf boots a real Debian with systemd, a copy of s.Root in dir/root, with the
// lab's kernel. It crashes once it is up; the dump lies in /var/crash on its root
// file system.
func (l *Lab) SystemOf(ctx context.Context, dir string, s Setup) (*Outcome, error) {
	o := &Outcome{
		Log:      filepath.Join(dir, "console.log"),
		Disk:     filepath.Join(dir, "disk.img"),
		CrashDir: "/var/crash",
	}
	root := filepath.Join(dir, "root")
	if err := l.installSystem(ctx, root, s); err != nil {
		return o, err
	}
	disk := qemu.Disk{SizeMiB: 1536, FSType: "ext4", UUID: DiskUUID, From: root}
	if err := disk.Make(ctx, o.Disk); err != nil {
		return o, err
	}
	initrd := filepath.Join(dir, "boot.img")
	todo := script.Script{Steps: []script.Step{{SwitchRoot: &script.Mount{Device: "/dev/vda", FSType: "ext4", Dir: "/newroot"}}}}
	if err := l.writeGuest(initrd, todo, virtioDisk("ext4"), nil); err != nil {
		return o, err
	}
	start := time.Now()
	vm, err := qemu.Start(ctx, qemu.Opts{
		Kernel: l.Kernel.Image, Initrd: initrd, Accel: l.Accel, Log: o.Log,
		Append:  "root=UUID=" + DiskUUID + " crashkernel=" + cmp.Or(s.Reserve, DefaultReserve) + " panic=30",
		Drives:  []qemu.Drive{{Path: o.Disk}},
		Timeout: 15 * time.Minute,
	})
	if err != nil {
		return o, err
	}
	defer vm.Close()
	defer func() { o.Console = vm.Console() }()
	if err := vm.Expect(ctx, "Kernel panic - not syncing: sysrq triggered crash"); err != nil {
		return o, err
	}
	o.ToPanic = time.Since(start)
	if err := vm.Wait(ctx); err != nil {
		return o, err
	}
	o.ToEnd = time.Since(start) - o.ToPanic
	return o, nil
}

// installSystem makes the contents of the root disk.
func (l *Lab) installSystem(ctx context.Context, root string, s Setup) error {
	base, err := s.Root(ctx)
	if err != nil {
		return err
	}
	release := l.Kernel.Release
	for _, argv := range append([][]string{
		{"cp", "-a", base, root},
		{"rm", "-rf", root + "/var/cache/apt", root + "/var/lib/apt", root + "/usr/share/doc", root + "/usr/share/locale"},
		{"cp", "-a", l.Kernel.Image, filepath.Join(l.Kernel.Root, "boot/config-"+release), root + "/boot/"},
		{"mkdir", "-p", root + "/usr/lib/modules"},
		{"cp", "-a", filepath.Join(l.Kernel.Root, "lib/modules", release), root + "/usr/lib/modules/"},
		{"chroot", root, "depmod", release},
	}, s.Commands...) {
		if _, err := debian.RunRoot(ctx, argv...); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	for name, text := range map[string]string{
		"etc/fstab":                        "UUID=" + DiskUUID + " / ext4 defaults 0 1\n",
		"etc/hostname":                     "smoke\n",
		"etc/systemd/system/crash.service": fmt.Sprintf(crashUnit, s.Report),
	} {
		tmp := root + ".text"
		if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		if _, err := debian.RunRoot(ctx, "cp", tmp, filepath.Join(root, name)); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	_, err = debian.RunRoot(ctx, "chroot", root, "systemctl", "enable", "crash.service")
	return err
}
