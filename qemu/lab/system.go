package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// SystemSuite is the Debian release that [Lab.System] runs.
const SystemSuite = "bookworm"

// SystemPackages are what a [Lab.System] needs beside a minimal Debian.
func SystemPackages() []string { return []string{"systemd-sysv", "udev", "kmod"} }

// crashUnit says what systemd and kdump-arm think of the machine, once it is up,
// and crashes it; not again when it comes back.
const crashUnit = `[Unit]
After=multi-user.target
ConditionDirectoryNotEmpty=!/var/crash

[Service]
Type=oneshot
StandardOutput=journal+console
ExecStart=/bin/sh -c 'echo "GUEST: gokdump.service is $$(systemctl is-active gokdump)"'
ExecStart=/bin/sh -c '/usr/sbin/kdump-arm status; echo "GUEST: kdump-arm status is $$?"'
ExecStart=/bin/sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger'

[Install]
WantedBy=graphical.target multi-user.target
`

// System boots a real Debian with systemd, on which "make install" of this tree
// was done and the unit enabled, and nothing else: no kdump.conf, no image. Its
// units build the image, arm and, once it is up, crash; the dump lies in
// /var/crash on its root file system.
func (l *Lab) System(ctx context.Context, dir string) (*Outcome, error) {
	o := &Outcome{
		Log:      filepath.Join(dir, "console.log"),
		Disk:     filepath.Join(dir, "disk.img"),
		CrashDir: "/var/crash",
	}
	root := filepath.Join(dir, "root")
	if err := l.installSystem(ctx, root); err != nil {
		return o, err
	}
	disk := qemu.Disk{SizeMiB: 1536, FSType: "ext4", UUID: DiskUUID, From: root}
	if err := disk.Make(ctx, o.Disk); err != nil {
		return o, err
	}
	initrd := filepath.Join(dir, "boot.img")
	todo := script.Script{Steps: []script.Step{{SwitchRoot: &script.Mount{Device: "/dev/vda", FSType: "ext4", Dir: "/newroot"}}}}
	if err := l.writeGuest(initrd, todo, []modules.Want{
		{Name: "virtio_pci", For: "the root disk"},
		{Name: "virtio_blk", For: "the root disk"},
		{Name: "ext4", For: "the root file system"},
	}, nil); err != nil {
		return o, err
	}
	start := time.Now()
	vm, err := qemu.Start(ctx, qemu.Opts{
		Kernel: l.Kernel.Image, Initrd: initrd, Accel: l.Accel, Log: o.Log,
		Append:  "crashkernel=" + DefaultReserve + " panic=30",
		Drives:  []qemu.Drive{{Path: o.Disk}},
		Timeout: 6 * time.Minute,
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
func (l *Lab) installSystem(ctx context.Context, root string) error {
	cache, err := debian.CacheDir()
	if err != nil {
		return err
	}
	base, err := debian.Root(ctx, cache, SystemSuite, SystemPackages(), os.Stderr)
	if err != nil {
		return err
	}
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("lab: go env GOMOD: %w", err)
	}
	tree := filepath.Dir(strings.TrimSpace(string(mod)))
	release := l.Kernel.Release
	for _, argv := range [][]string{
		{"cp", "-a", base, root},
		{"rm", "-rf", root + "/var/cache/apt", root + "/var/lib/apt", root + "/usr/share/doc", root + "/usr/share/locale"},
		{"cp", "-a", l.Kernel.Image, filepath.Join(l.Kernel.Root, "boot/config-"+release), root + "/boot/"},
		{"mkdir", "-p", root + "/usr/lib/modules"},
		{"cp", "-a", filepath.Join(l.Kernel.Root, "lib/modules", release), root + "/usr/lib/modules/"},
		{"chroot", root, "depmod", release},
		{"make", "-C", tree, "--no-print-directory", "install", "DESTDIR=" + root},
		{"chroot", root, "systemctl", "enable", "gokdump.service"},
	} {
		if _, err := debian.RunRoot(ctx, argv...); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	for name, text := range map[string]string{
		"etc/fstab":                        "UUID=" + DiskUUID + " / ext4 defaults 0 1\n",
		"etc/hostname":                     "smoke\n",
		"etc/systemd/system/crash.service": crashUnit,
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
