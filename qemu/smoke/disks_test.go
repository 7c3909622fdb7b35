//go:build vm

package smoke

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
)

// hostCase is a host with disks of some make.
type hostCase struct {
	name  string
	short bool // also in the short form
	host  lab.Host
	ahci  bool // needs the generic kernel: the cloud kernel has no AHCI driver
	says  []string
	check func(t *testing.T, o *lab.Outcome, l lab.Left)
}

// refused makes on vdc and vdd what the crash kernel cannot put together, and wants
// an image for each refused.
const refused = "modprobe dm_snapshot\n" + luksModules + `refuse() { echo "$1" >/etc/kdump.conf; if kdump-mkinitramfs -o /no.img; then exit 1; fi; }
echo -n secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vdc -
echo -n secret | cryptsetup open --key-file - /dev/vdc secret
mke2fs -q -t ext4 /dev/mapper/secret; refuse 'ext4 /dev/mapper/secret'
pvcreate -q /dev/vdd; vgcreate -q vg /dev/vdd
lvcreate -q -y --type thin-pool -l 20 -n pool vg; lvcreate -q -y -V 40m --thinpool pool -n thin vg
mke2fs -q -t ext4 /dev/vg/thin; refuse 'ext4 /dev/vg/thin'
lvcreate -q -y -l 10 -n plain vg; mke2fs -q -t ext4 /dev/vg/plain; lvcreate -q -y -s -l 5 -n snap vg/plain
refuse 'ext4 /dev/vg/plain'
`

// luksModules are what cryptsetup has the kernel load.
const luksModules = "modprobe -a xts ecb algif_skcipher algif_hash || true\n"

// fetchLabel is for a file system with LABEL=dumps. The scripts print what they do (set
// -x), so that a failure shows.
const fetchLabel = "mkdir -p /t; udevadm settle; mount -L dumps /t; cp -a /t/crash/. /carry/; umount /t\n"

func onDisk(bus qemu.Bus) []lab.HostDisk {
	return []lab.HostDisk{{SizeMiB: 512, Bus: bus, Serial: "T1"}}
}

// diskCases are hosts whose kdump-mkinitramfs looks at what real tools made.
func diskCases() []hostCase {
	return []hostCase{
		{
			name: "ext4-gpt-virtio-partuuid",
			host: lab.Host{
				Disks: append(onDisk(qemu.VirtioBlk), lab.HostDisk{SizeMiB: 256}, lab.HostDisk{SizeMiB: 256}),
				Setup: refused + `echo 'label: gpt
size=20MiB
name=crash' | sfdisk -q /dev/vdb; udevadm settle
mke2fs -q -t ext4 -L dumps /dev/vdb2
echo "ext4 PARTUUID=$(blkid -s PARTUUID -o value /dev/vdb2)
path /crash" >/etc/kdump.conf
`,
				Fetch: fetchLabel,
			},
			says: []string{"target ext4 PARTUUID=", "an encrypted volume (LUKS)", `is of type "thin"`, "snap is a snapshot of it"},
		},
		{
			name: "xfs-mbr-scsi-by-id",
			host: lab.Host{
				Disks: onDisk(qemu.VirtioSCSI),
				Setup: `echo 'label: dos
size=20MiB
size=+' | sfdisk -q /dev/sda; udevadm settle
mkfs.xfs -q -L dumps /dev/sda2
ls -l /dev/disk/by-id
echo "xfs $(ls /dev/disk/by-id/scsi-*T1-part2)
path /crash" >/etc/kdump.conf
`,
				Fetch: fetchLabel,
			},
			says: []string{"module virtio_scsi", "module sd_mod"},
		},
		{
			name: "btrfs-subvolume-nvme-partlabel",
			host: lab.Host{
				Disks: onDisk(qemu.NVMe),
				Setup: `echo 'label: gpt
name="crash dumps"' | sfdisk -q /dev/nvme0n1; udevadm settle
mkfs.btrfs -q -L dumps /dev/nvme0n1p1
mount /dev/nvme0n1p1 /mnt; btrfs subvolume create /mnt/@crash; umount /mnt
echo 'btrfs PARTLABEL="crash dumps" subvol=@crash
path /in' >/etc/kdump.conf
`,
				Fetch: "mkdir -p /t; mount -L dumps /t; btrfs subvolume list /t; cp -a /t/@crash/in/. /carry/; umount /t\n",
			},
			says: []string{"subvol=@crash"},
		},
		{
			name: "ext4-mbr-ahci-device", ahci: true,
			host: lab.Host{
				Disks: onDisk(qemu.AHCI),
				Setup: `echo 'label: dos
size=+' | sfdisk -q /dev/sda; udevadm settle
mke2fs -q -t ext4 -L dumps /dev/sda1
echo 'ext4 /dev/sda1
path /crash' >/etc/kdump.conf
`,
				Fetch: fetchLabel,
			},
			says: []string{"module ahci", "target ext4 UUID="},
		},
		{
			// The host binds the drivers to the disks the other way round, so what is vdb
			// here is vdc in the crash kernel; a decoy of the same layout is in its place.
			name: "ext4-renamed",
			host: lab.Host{
				Disks: []lab.HostDisk{{SizeMiB: 256}, {SizeMiB: 512}},
				Setup: `b=$(basename $(readlink -f /sys/block/vdb/device)); c=$(basename $(readlink -f /sys/block/vdc/device))
d=$(basename $(readlink -f /sys/block/vdd/device))
cd /sys/bus/virtio/drivers/virtio_blk
for x in $b $c $d; do echo $x >unbind; done
for x in $c $b $d; do echo $x >bind; done
cd /; udevadm settle; sleep 1; udevadm settle
test $(cat /sys/block/vdb/size) -eq 1048576
for x in b c; do printf 'label: dos\nlabel-id: 0x1234567%s\nsize=+\n' $x | sfdisk -q /dev/vd$x; done; udevadm settle
mke2fs -q -t ext4 -L dumps /dev/vdb1; mke2fs -q -t ext4 -L decoy /dev/vdc1
echo 'ext4 /dev/vdb1
path /crash' >/etc/kdump.conf
`,
				Fetch: fetchLabel + "mount -L decoy /t; test ! -e /t/crash\n",
			},
			says: []string{" is /dev/vdc1"},
		},
		{
			name: "ext4-lvm-segments", short: true,
			host: lab.Host{
				Disks: []lab.HostDisk{{SizeMiB: 256}, {SizeMiB: 256, Bus: qemu.VirtioSCSI}, {SizeMiB: 256, Bus: qemu.VirtioSCSI}},
				Setup: `pvcreate -q /dev/vdb /dev/sda; vgcreate -q v-g /dev/vdb /dev/sda
lvcreate -q -y -n first -l 5 v-g /dev/vdb; lvcreate -q -y -n dump-s -l 20 v-g /dev/vdb; lvcreate -q -y -n other -l 5 v-g /dev/vdb
lvextend -q -l +25 v-g/dump-s /dev/vdb; lvextend -q -l +55 v-g/dump-s /dev/sda
lvs --segments -o+devices
mke2fs -q -t ext4 -L dumps /dev/v-g/dump-s
mkdir -p /var/crash; mount /dev/v-g/dump-s /var/crash
`,
				// The volume moves after arming: the crash kernel must read where it is.
				Fetch: "vgchange -ay v-g; fsck.ext4 -f -n /dev/v-g/dump-s; mount -L dumps /var/crash; cp -a /var/crash/. /carry/; rmdir /carry/lost+found; umount /var/crash\n",
			},
			says: []string{"module dm_mod", "assembled from 3 pieces"},
		},
		{
			// As a Debian with an encrypted disk is: LVM on LUKS2, its key slot made by argon2.
			// Neither another passphrase nor another slot changes the volume's own key.
			name: "ext4-lvm-on-luks2",
			host: lab.Host{
				Disks: onDisk(qemu.VirtioBlk),
				Setup: luksModules + `dd if=/dev/urandom of=/root/key bs=64 count=1 status=none; echo wrong >/root/wrong
cryptsetup luksFormat -q --type luks2 --sector-size 4096 --pbkdf argon2id --pbkdf-memory 65536 --pbkdf-force-iterations 4 --pbkdf-parallel 1 /dev/vdb /root/key
cryptsetup open --key-file /root/key /dev/vdb vault
pvcreate -q /dev/mapper/vault; vgcreate -q vg /dev/mapper/vault; lvcreate -q -y -n crash -l 100 vg
mke2fs -q -t ext4 -L dumps /dev/vg/crash
mkdir -p /var/crash; mount /dev/vg/crash /var/crash
if kdump-mkinitramfs -o /no.img; then exit 1; fi
echo 'luks_key /root/wrong' >/etc/kdump.conf; if kdump-mkinitramfs -o /no.img; then exit 1; fi
echo 'luks_key /root/key' >/etc/kdump.conf
`,
				Fetch: luksModules + `cryptsetup open --key-file /root/key /dev/vdb vault; vgchange -ay vg; udevadm settle
fsck.ext4 -f -n /dev/vg/crash; mount -L dumps /var/crash; cp -a /var/crash/. /carry/; rmdir /carry/lost+found; umount /var/crash; vgchange -an vg
`,
			},
			says: []string{"opens only with a key file", "the key file opens none", "module dm_crypt", "encrypted volume vault opened on", "logical volume vg/crash assembled"},
		},
		{
			name: "xfs-luks1",
			host: lab.Host{
				Disks: onDisk(qemu.VirtioSCSI),
				Setup: luksModules + `dd if=/dev/urandom of=/root/key bs=64 count=1 status=none
cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 /dev/sda /root/key
cryptsetup open --key-file /root/key /dev/sda vault
mkfs.xfs -q -L dumps /dev/mapper/vault
echo 'xfs /dev/mapper/vault
path /crash
luks_key /root/key' >/etc/kdump.conf
`,
				Fetch: luksModules + "cryptsetup open --key-file /root/key /dev/sda vault; " + fetchLabel,
			},
			says: []string{"encrypted volume vault opened on"},
		},
		{
			name: "xfs-lvm-moved-after-arming",
			host: lab.Host{
				Disks: []lab.HostDisk{{SizeMiB: 512}, {SizeMiB: 512}},
				Setup: `pvcreate -q /dev/vdb /dev/vdc; vgcreate -q vg /dev/vdb /dev/vdc
lvcreate -q -y -n dumps -l 100 vg /dev/vdb
mkfs.xfs -q -L dumps /dev/vg/dumps
echo 'xfs LABEL=dumps
path /crash' >/etc/kdump.conf
kdump-mkinitramfs -o /kdump.img
pvmove -q /dev/vdb /dev/vdc; dd if=/dev/zero of=/dev/vdb bs=1M seek=1 count=500 status=none
mv /usr/sbin/kdump-mkinitramfs /usr/sbin/kdump-mkinitramfs.real; printf '#!/bin/sh\n' >/usr/sbin/kdump-mkinitramfs; chmod +x /usr/sbin/kdump-mkinitramfs
`,
				Fetch: "vgchange -ay vg; " + fetchLabel,
			},
			says: []string{"assembled from 1 pieces"},
		},
		{
			name: "ext4-lvm-on-md", short: true,
			host: lab.Host{
				Disks: []lab.HostDisk{{SizeMiB: 400}, {SizeMiB: 400}},
				Setup: `
for x in b c; do printf 'label: gpt\nsize=+\n' | sfdisk -q /dev/vd$x; done; udevadm settle
mdadm --create /dev/md0 --run --level=1 --metadata=1.2 --raid-devices=2 /dev/vdb1 /dev/vdc1
pvcreate -q /dev/md0; vgcreate -q vg /dev/md0; lvcreate -q -y -n root -l 80 vg
mke2fs -q -t ext4 -L dumps /dev/vg/root
mkdir -p /var/crash; mount /dev/vg/root /var/crash
cat /proc/mdstat
`,
				Fetch: "mdadm --assemble --scan --run || true; udevadm settle; cat /proc/mdstat; vgchange -ay vg; fsck.ext4 -f -n /dev/vg/root; mount -L dumps /var/crash; cp -a /var/crash/. /carry/; rmdir /carry/lost+found; umount /var/crash; vgchange -an vg\n" + sameMembers,
			},
			says: []string{"module raid1", "with 2 of 2 members, metadata 1.2", "logical volume vg/root assembled"},
		},
		mdCase("1.0", "", 2),
		mdCase("1.1", "", 2),
		mdCase("0.90", "", 2),
		// A member failed long before the crash, and another machine's array is there.
		mdCase("1.2", "mdadm /dev/md0 --fail /dev/vdc; mdadm /dev/md0 --remove /dev/vdc\n", 1),
		{
			name: "raw-gpt-virtio", short: true,
			host: lab.Host{
				Disks: onDisk(qemu.VirtioBlk),
				Setup: `printf 'label: gpt\nsize=+, name=rawdump\n' | sfdisk -q /dev/vdb; udevadm settle
mke2fs -q -t ext4 /dev/vdb1
echo 'raw /dev/vdb1' >/etc/kdump.conf
if kdump-mkinitramfs -o /kdump.img; then exit 1; fi
wipefs -a /dev/vdb1; dd if=/dev/zero of=/dev/vdb1 bs=1M count=1 conv=notrunc status=none
`,
				Fetch: `mkdir -p /back; kdump-arm recover --to /back
kdump-arm recover --to /back
cp -a /back/. /carry/
`,
			},
			says: []string{"it holds ext4", "target raw PARTUUID="},
		},
		{
			name: "raw-scsi-whole-disk",
			host: lab.Host{
				Disks:  onDisk(qemu.VirtioSCSI),
				Setup:  "udevadm settle\n",
				Config: "raw /dev/sda\n",
				Fetch:  "kdump-arm recover; cp -a /var/crash/. /carry/\n",
			},
			says: []string{"the disk with"},
		},
		{
			name: "raw-lvm",
			host: lab.Host{
				Disks:  onDisk(qemu.VirtioBlk),
				Setup:  "pvcreate -q /dev/vdb; vgcreate -q vg /dev/vdb; lvcreate -q -y -n raw -l 100 vg; dd if=/dev/zero of=/dev/vg/raw bs=1M count=400 status=none || true\n",
				Config: "raw /dev/mapper/vg-raw\n",
				Fetch:  "vgchange -ay vg; udevadm settle; kdump-arm recover; cp -a /var/crash/. /carry/\n",
			},
			says: []string{"logical volume vg/raw"},
		},
	}
}

// sameMembers stops an array after its check, which finds what differs between its
// members: nothing may, but what was under way when the machine crashed.
const sameMembers = `for m in /sys/block/md*; do
	n=$(basename $m)
	echo idle >$m/md/sync_action || true; mdadm --wait /dev/$n || true
	echo check >$m/md/sync_action; mdadm --wait /dev/$n || true
	test "$(cat $m/md/mismatch_cnt)" -eq 0
done
`

func mdCase(metadata, harm string, members int) hostCase {
	name := "ext4-md-" + metadata
	if harm != "" {
		name += "-degraded"
	}
	return hostCase{
		name: name,
		host: lab.Host{
			Disks: []lab.HostDisk{{SizeMiB: 300}, {SizeMiB: 300}},
			Setup: fmt.Sprintf(`
mdadm --create /dev/md0 --run --level=1 --metadata=%s --raid-devices=2 /dev/vdb /dev/vdc
mdadm --wait /dev/md0 || true
mke2fs -q -t ext4 -L dumps /dev/md0
%smkdir -p /mnt/t; mount /dev/md0 /mnt/t; cp -a /usr/sbin /mnt/t/; sync; cat /proc/mdstat
echo 'ext4 LABEL=dumps
path /crash' >/etc/kdump.conf
`, metadata, harm),
			Fetch: "mdadm --assemble --scan --run || true; udevadm settle; cat /proc/mdstat; fsck.ext4 -f -n /dev/md/* || fsck.ext4 -f -n /dev/md0 || fsck.ext4 -f -n /dev/md127; " + fetchLabel,
		},
		says: []string{fmt.Sprintf("with %d of 2 members, metadata %s", members, metadata)},
	}
}

// Targets on disks of all makes. The short form takes three.
func TestDisks(t *testing.T) {
	for _, tt := range diskCases() {
		if !allTargets() && !tt.short {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			machine := shared
			if tt.ahci {
				machine = genericLab(t)
			}
			o, err := machine.RunHost(t.Context(), dir(t), tt.host)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("panic after %.1f s, end %.1f s later", o.ToPanic.Seconds(), o.ToEnd.Seconds())
			console(t, o, tt.says...)
			l := left(t, o)
			opensAt(t, machine, o, l)
			if tt.check != nil {
				tt.check(t, o, l)
			}
		})
	}
}

// opensAt checks a whole dump of a host, and opens it in drgn.
func opensAt(t *testing.T, machine *lab.Lab, o *lab.Outcome, l lab.Left) {
	t.Helper()
	r := l.Report
	if r.Result != capture.Complete || r.Error != "" || r.LeftOutPages != 0 || r.Kernel != machine.Kernel.Release {
		t.Errorf("report: %s, error %q at %q, kernel %s", r.Result, r.Error, r.FailedStep, r.Kernel)
	}
	if names := l.Names(); !slices.Contains(names, capture.DumpName) || strings.Contains(strings.Join(names, " "), ".incomplete") {
		t.Errorf("files %q", names)
	}
	if !strings.Contains(l.Text(capture.LogName), trigger) {
		t.Errorf("%s lacks %q", capture.LogName, trigger)
	}
	if out, code := command(t, "kdump-vmcore", "verify", l.Path(capture.DumpName)); code != 0 {
		t.Errorf("kdump-vmcore verify: exit %d\n%s", code, out)
	}
	f := drgn(t, machine, l.Path(capture.DumpName))
	if !slices.Contains(f.Frames, "sysrq_handle_crash") || f.Release != machine.Kernel.Release {
		t.Errorf("drgn: release %q, backtrace\n%s", f.Release, f.Trace)
	}
	tasks(t, o, f.Tasks)
}

// genericLab is for what the cloud kernel has no driver for.
func genericLab(t *testing.T) *lab.Lab {
	t.Helper()
	generic.once.Do(func() {
		cache, err := debian.CacheDir()
		if err == nil {
			var s *debian.Suite
			if s, err = debian.OpenSuite(t.Context(), cache, lab.SystemSuite, os.Stdout); err == nil {
				var k *debian.Kernel
				if k, err = s.Kernel(t.Context(), "6.1.", "amd64", os.Stdout); err == nil {
					generic.lab = shared.WithKernel(k)
				}
			}
		}
		generic.err = err
	})
	if generic.err != nil {
		t.Fatal(generic.err)
	}
	return generic.lab
}
