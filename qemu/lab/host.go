package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// HostPackages are what a [Host] has beside a minimal Debian: the tools that make
// partitions, file systems, volumes and arrays on a real machine.
func HostPackages() []string {
	return []string{"udev", "kmod", "fdisk", "e2fsprogs", "xfsprogs", "btrfs-progs", "lvm2", "mdadm", "cryptsetup-bin", "thin-provisioning-tools"}
}

// hostRoot is the name of such a system in the cache.
const hostRoot = SystemSuite + "-disks"

// Host is a Debian host with disks that its own tools set up: udev finds them,
// kdump-mkinitramfs looks at what it finds and builds the image, and after the crash
// the host comes back and reads with its own tools what the crash kernel wrote.
type Host struct {
	// Disks are the machine's disks beside the one with the system, which is
	// /dev/vda; another disk called carry is the last.
	Disks []HostDisk
	// Setup is a shell script that makes out of the disks what is to be dumped to. It
	// may mount things, and runs once.
	Setup string
	// Config is /etc/kdump.conf; empty means that there is none.
	Config string
	// Fetch is a shell script that runs when the machine is back, and copies the
	// dumps into the directory /carry.
	Fetch string
	// Fill is the memory that is used; the zero value means four workers of 8 MiB.
	Fill script.Fill
	// EFI makes it a machine with EFI firmware, whose variables outlive a reset.
	EFI bool
	// ArmFlags are further arguments of kdump-arm load.
	ArmFlags []string
}

// HostDisk is a blank disk of a [Host].
type HostDisk struct {
	SizeMiB int64
	Bus     qemu.Bus
	Serial  string
	Faults  string // rules of QEMU's blkdebug driver; empty for none
}

// hostPrologue starts what init would on a real machine. hostDone is the line after
// which the machine may crash.
const hostPrologue = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_IGNORE_CHROOT=1
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev && mount -t tmpfs run /run || exit 9
mkdir -p /run/lock /run/lvm
hostname smoke
# The kernel cannot call this modprobe by itself: it would look for it in its own root.
modprobe -a sd_mod dm_mod raid1 xfs btrfs dm_mirror dm_thin_pool dm_crypt
/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add; udevadm settle
# Buses look for their disks in the background.
for i in $(seq 200); do test $(ls /sys/block | grep -c '^[vsn]') -ge $DISKS && break; sleep 0.1; done
udevadm settle
set -ex
if [ -e /armed ]; then
	mkdir -p /carried && mount LABEL=carry /carried && mkdir /carried/dumps && ln -sfn /carried/dumps /carry
	. /fetch.sh
	umount /carried
	mkdir -p /fetched && : >/fetched/all
	sync
	exit 0
fi
. /setup.sh
udevadm settle
kdump-mkinitramfs -v -o /kdump.img
kdump-arm load --kernel /boot/vmlinuz-$(uname -r) --image /kdump.img $ARM
: >/armed
sync
`

// RunHost plays the story of a host in dir. The outcome's disk is the one called
// carry.
func (l *Lab) RunHost(ctx context.Context, dir string, h Host) (*Outcome, error) {
	o := &Outcome{Log: filepath.Join(dir, "console.log"), Disk: filepath.Join(dir, "carry.img"), CrashDir: "/dumps"}
	drives, err := l.hostDisks(ctx, dir, o.Disk, h)
	if err != nil {
		return o, err
	}
	if h.Fill == (script.Fill{}) {
		h.Fill = script.Fill{Workers: 4, AnonMiB: 8, ShmMiB: 1}
	}
	const root = "/work"
	initrd := filepath.Join(dir, "boot.img")
	loader := []string{root + "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "--library-path", root + "/usr/lib/x86_64-linux-gnu", root + "/usr/sbin/chroot", root, "/bin/sh", "/host.sh"}
	todo := script.Script{Steps: []script.Step{
		{Mount: &script.Mount{Device: "/dev/vda", FSType: "ext4", Dir: root}},
		{Run: loader},
		{EndIfAny: root + "/fetched"},
		{Fill: &h.Fill},
		{Tasks: true},
		{Panic: &script.Panic{}},
	}}
	if err := l.writeGuest(initrd, todo, virtioDisk("ext4"), nil); err != nil {
		return o, err
	}
	vars := ""
	if h.EFI {
		vars = filepath.Join(dir, "efivars.img")
		if err := qemu.MakeEFIVars(vars); err != nil {
			return o, err
		}
	}
	start := time.Now()
	vm, err := qemu.Start(ctx, qemu.Opts{
		EFIVars: vars,
		Kernel:  l.Kernel.Image, Initrd: initrd, Accel: l.Accel, Log: o.Log,
		Append: "crashkernel=" + DefaultReserve + " panic=30",
		Drives: drives, Reboot: true, Timeout: 2 * qemu.DefaultTimeout, // two boots
	})
	if err != nil {
		return o, err
	}
	defer vm.Close()
	defer func() { o.Console = vm.Console() }()
	ready, err := vm.ExpectMatch(ctx, regexp.MustCompile(script.Marker+`(exit -?\d+: |failed: ).*`))
	if err == nil && !strings.Contains(ready, "exit 0:") {
		err = fmt.Errorf("lab: the host could not arm: %s; its console is in %s", ready, o.Log)
	}
	if err != nil {
		return o, err
	}
	if err := vm.Expect(ctx, script.TasksEnd); err != nil {
		return o, err
	}
	if err := o.seeTasks(vm.Console()); err != nil {
		return o, err
	}
	if err := vm.Expect(ctx, "Kernel panic - not syncing: sysrq triggered crash"); err != nil {
		return o, err
	}
	o.ToPanic = time.Since(start)
	if err := vm.Expect(ctx, "reboot: "); err != nil {
		return o, err
	}
	o.ToEnd = time.Since(start) - o.ToPanic
	back, err := vm.ExpectMatch(ctx, regexp.MustCompile(script.Marker+`(exit -?\d+: |failed: ).*`))
	if err == nil && !strings.Contains(back, "exit 0:") {
		err = fmt.Errorf("lab: the host came back and could not fetch the dumps: %s; its console is in %s", back, o.Log)
	}
	if err != nil {
		return o, err
	}
	return o, vm.Wait(ctx)
}

// hostDisks makes the machine's disks.
func (l *Lab) hostDisks(ctx context.Context, dir, carry string, h Host) ([]qemu.Drive, error) {
	system, err := l.hostSystem(ctx)
	if err != nil {
		return nil, err
	}
	disk := filepath.Join(dir, "system.img")
	if _, err := debian.RunRoot(ctx, "cp", "--sparse=always", system, disk); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	texts := map[string]string{
		"host.sh":  strings.NewReplacer("$ARM", strings.Join(h.ArmFlags, " "), "$DISKS", fmt.Sprint(len(h.Disks)+2)).Replace(hostPrologue),
		"setup.sh": h.Setup, "fetch.sh": h.Fetch,
	}
	if h.Config != "" {
		texts["etc/kdump.conf"] = h.Config
	}
	files := map[string]string{}
	for name, text := range texts {
		files[name] = filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(files[name], []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
	}
	if err := qemu.PutFiles(ctx, disk, files); err != nil {
		return nil, err
	}
	drives := []qemu.Drive{{Path: disk}}
	for i, d := range h.Disks {
		path := filepath.Join(dir, fmt.Sprintf("disk%d.img", i+1))
		if err := (qemu.Disk{SizeMiB: d.SizeMiB}).Make(ctx, path); err != nil {
			return nil, err
		}
		drive := qemu.Drive{Path: path, Bus: d.Bus, Serial: d.Serial}
		if d.Faults != "" {
			drive.Faults = path + ".faults"
			if err := os.WriteFile(drive.Faults, []byte(d.Faults), 0o644); err != nil {
				return nil, fmt.Errorf("lab: %w", err)
			}
		}
		drives = append(drives, drive)
	}
	if err := (qemu.Disk{SizeMiB: 512, FSType: "ext4", Label: "carry"}).Make(ctx, carry); err != nil {
		return nil, err
	}
	return append(drives, qemu.Drive{Path: carry}), nil
}

// hostSystem makes the image of the disk with the system, once for each kernel.
func (l *Lab) hostSystem(ctx context.Context) (string, error) {
	l.hosts.Lock()
	defer l.hosts.Unlock()
	dir := filepath.Dir(l.bin)
	image := filepath.Join(dir, "host-"+l.Kernel.Release+".img")
	if l.systems[image] {
		return image, nil
	}
	cache, err := debian.CacheDir()
	if err != nil {
		return "", err
	}
	base, err := debian.NamedRoot(ctx, cache, hostRoot, SystemSuite, HostPackages(), os.Stderr)
	if err != nil {
		return "", err
	}
	root := filepath.Join(dir, "_host-"+l.Kernel.Release) // of no interest to go ./...
	release := l.Kernel.Release
	bin, lib := root+"/usr/sbin/", root+"/usr/lib/gokdump/"
	for _, argv := range [][]string{
		{"rm", "-rf", root},
		{"cp", "-a", base, root},
		{"rm", "-rf", root + "/var/cache/apt", root + "/var/lib/apt", root + "/usr/share/doc", root + "/usr/share/locale", root + "/usr/share/man"},
		{"cp", "-a", l.Kernel.Image, filepath.Join(l.Kernel.Root, "boot/config-"+release), root + "/boot/"},
		{"mkdir", "-p", root + "/usr/lib/modules", lib},
		{"cp", "-a", filepath.Join(l.Kernel.Root, "lib/modules", release), root + "/usr/lib/modules/"},
		{"rm", "-rf", root + "/usr/lib/modules/" + release + "/kernel/sound", root + "/usr/lib/modules/" + release + "/kernel/drivers/gpu", root + "/usr/lib/modules/" + release + "/kernel/drivers/net", root + "/usr/lib/modules/" + release + "/kernel/drivers/media"},
		{"chroot", root, "depmod", release},
		{"cp", l.Command("kdump-mkinitramfs"), l.Command("kdump-arm"), bin},
		{"cp", l.Command("kdump-init"), l.Command(DiskInit), l.Command(AgeInit), lib},
	} {
		if _, err := debian.RunRoot(ctx, argv...); err != nil {
			return "", fmt.Errorf("lab: %w", err)
		}
	}
	if err := (qemu.Disk{SizeMiB: 1536, FSType: "ext4", From: root}).Make(ctx, image); err != nil {
		return "", err
	}
	if _, err := debian.RunRoot(ctx, "rm", "-rf", root); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	if l.systems == nil {
		l.systems = map[string]bool{}
	}
	l.systems[image] = true
	return image, nil
}
