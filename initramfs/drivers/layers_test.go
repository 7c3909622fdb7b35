package drivers

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/luks"
	"github.com/gokdump/gokdump/initramfs/luks/lukstest"
	"github.com/gokdump/gokdump/initramfs/lvm2/lvmtest"
	"github.com/google/go-cmp/cmp"
)

// stackedMachine has a group on a partition and an array of two disks, the array with
// a partition of its own; and what cannot be put together.
const stackedMachine = machine + `link sys/class/block/dm-5 sys/devices/virtual/block/dm-5
link sys/class/block/dm-6 sys/devices/virtual/block/dm-6
link sys/class/block/dm-7 sys/devices/virtual/block/dm-7
link sys/class/block/md1 sys/devices/virtual/block/md1
link sys/class/block/md1p1 sys/devices/virtual/block/md1/md1p1
link sys/class/block/vdb sys/devices/pci0000:00/0000:00:01.0/04.0/virtio2/block/vdb
link sys/class/block/vdc sys/devices/pci0000:00/0000:00:01.0/04.0/virtio3/block/vdc
link sys/class/block/md5 sys/devices/virtual/block/md5
link sys/devices/virtual/block/dm-5/slaves/vda1 sys/class/block/vda1
link sys/devices/virtual/block/dm-5/slaves/md1 sys/class/block/md1
file sys/devices/virtual/block/dm-5/dm/uuid LVM-` + lvmtest.Group + lvmtest.Root + `
link sys/devices/virtual/block/dm-6/slaves/vda1 sys/class/block/vda1
file sys/devices/virtual/block/dm-6/dm/uuid LVM-` + lvmtest.Group + lvmtest.Stripes + `
link sys/devices/virtual/block/dm-7/slaves/dm-5 sys/class/block/dm-5
file sys/devices/virtual/block/dm-5/size 4096
link sys/class/block/vdd sys/devices/pci0000:00/0000:00:01.0/04.0/virtio4/block/vdd
file sys/devices/pci0000:00/0000:00:01.0/04.0/virtio4/block/vdd/size 32768
link sys/class/block/dm-8 sys/devices/virtual/block/dm-8
link sys/devices/virtual/block/dm-8/slaves/vdd sys/class/block/vdd
file sys/devices/virtual/block/dm-8/dm/uuid CRYPT-LUKS2-22222222222233334444555555555555-vault
file sys/devices/virtual/block/dm-8/dm/name vault
link sys/class/block/dm-9 sys/devices/virtual/block/dm-9
link sys/devices/virtual/block/dm-9/slaves/vdd sys/class/block/vdd
file sys/devices/virtual/block/dm-9/dm/uuid CRYPT-LUKS2-99999999222233334444555555555555-vault
file sys/devices/virtual/block/dm-7/dm/uuid CRYPT-LUKS2-x
file sys/devices/virtual/block/md1/md/level raid1
file sys/devices/virtual/block/md1/md/metadata_version 1.2
file sys/devices/virtual/block/md1/size 131072
file sys/devices/virtual/block/md1/md/dev-vdb/state in_sync
file sys/devices/virtual/block/md1/md/dev-vdc/state faulty
link sys/devices/virtual/block/md1/slaves/vdb sys/class/block/vdb
link sys/devices/virtual/block/md1/slaves/vdc sys/class/block/vdc
file sys/devices/virtual/block/md1/md1p1/partition 1
file sys/devices/pci0000:00/0000:00:01.0/04.0/virtio2/block/vdb/size 4096
file sys/devices/pci0000:00/0000:00:01.0/04.0/virtio3/block/vdc/size 4096
file sys/devices/pci0000:00/0000:00:01.0/04.0/virtio1/block/vda/vda1/size 163840
file sys/devices/virtual/block/md5/md/level raid5
link sys/devices/virtual/block/md5/slaves/vdb sys/class/block/vdb
`

// raidMember is a disk of 2 MiB with metadata 1.2.
func raidMember(number byte) []byte {
	b := make([]byte, 2<<20)
	sb := b[4096:]
	le := binary.LittleEndian
	le.PutUint32(sb, 0xa92b4efc)
	le.PutUint32(sb[4:], 1)
	sb[16], sb[168] = 5, number
	le.PutUint32(sb[72:], 1)
	le.PutUint32(sb[92:], 2)
	le.PutUint32(sb[220:], 2)
	return b
}

func stackedHost(t *testing.T) Host {
	t.Helper()
	h := fake(t, stackedMachine)
	for name, b := range map[string][]byte{"vda1": lvmtest.Volume(t, "pv1"), "md1": lvmtest.Volume(t, "pv0"), "vdb": raidMember(1), "vdc": raidMember(2), "dm-5": make([]byte, 2<<20), "vdd": lukstest.Header(t, "two")} {
		if err := os.WriteFile(filepath.Join(h.Dev, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestStack(t *testing.T) {
	h := stackedHost(t)
	array := plan.Layer{Kind: plan.LayerMD, UUID: "05000000-0000-0000-0000-000000000000", Name: "md1", Members: []string{"01000000-0000-0000-0000-000000000000"}}
	volume := plan.Layer{Kind: plan.LayerLVM, UUID: lvmtest.Root, Group: lvmtest.Group, Name: "vg-a/root"}
	vault := plan.Layer{Kind: plan.LayerLUKS, UUID: lukstest.UUIDTwo, Name: "vault", Crypt: &plan.Crypt{Cipher: "aes-xts-plain64", Offset: 2048, SectorSize: 4096}}
	for name, want := range map[string]Stack{
		"vda1":  {Disks: []string{"vda1"}},
		"md1":   {Layers: []plan.Layer{array}, Disks: []string{"vdb", "vdc"}},
		"md1p1": {Layers: []plan.Layer{array}, Disks: []string{"vdb", "vdc"}},
		"dm-5":  {Layers: []plan.Layer{array, volume}, Disks: []string{"vdb", "vdc", "vda1"}},
		"dm-8":  {Layers: []plan.Layer{vault}, Disks: []string{"vdd"}},
	} {
		got, err := h.Stack(name)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	for name, want := range map[string]string{
		"dm-6": "2 stripes", "dm-7": "an encrypted volume on dm-5, dm-5: luks: no header", "dm-1": "it has no key", "dm-9": "another volume, " + lukstest.UUIDTwo, "md5": "raid5", "loop0": "a loop device", "dm-0": "part of another volume",
	} {
		_, err := h.Stack(name)
		if e := (*StackedError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a StackedError with %q", name, err, want)
		}
	}
}

func TestUnlock(t *testing.T) {
	h := stackedHost(t)
	l := plan.Layer{Kind: plan.LayerLUKS, UUID: lukstest.UUIDTwo, Name: "vault"}
	if key, err := h.Unlock(t.Context(), l, []byte(lukstest.KeyFile)); err != nil || hex.EncodeToString(key) != lukstest.KeyTwo {
		t.Errorf("%x, %v", key, err)
	}
	if key, err := h.Unlock(t.Context(), l, []byte("x")); !errors.Is(err, luks.ErrNoKey) {
		t.Errorf("a wrong key file: %x, %v", key, err)
	}
	l.UUID = lukstest.UUIDOne
	if key, err := h.Unlock(t.Context(), l, []byte(lukstest.KeyFile)); !errors.Is(err, blkid.ErrNotFound) {
		t.Errorf("another volume: %x, %v", key, err)
	}
}

func TestDurable(t *testing.T) {
	h := stackedHost(t)
	set := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(h.Sys, path), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const virtio = "devices/pci0000:00/0000:00:01.0/04.0/"
	// vdb and vdc have serial numbers, the same one at first.
	set(virtio+"virtio2/block/vdb/serial", "S1")
	set(virtio+"virtio3/block/vdc/serial", "S1")
	if d, durable, err := h.Durable(t.Context(), "/dev/vdb"); err != nil || durable || d.Value != "/dev/vdb" {
		t.Errorf("a serial number that two disks have: %+v, %v, %v", d, durable, err)
	}
	set(virtio+"virtio3/block/vdc/serial", "S2")
	if d, durable, err := h.Durable(t.Context(), "/dev/vdb"); err != nil || !durable || d.By != plan.ByDisk || d.Value != "serial:S1" {
		t.Errorf("a serial number: %+v, %v, %v", d, durable, err)
	}
	mbr := make([]byte, 2<<20)
	copy(mbr[440:], []byte{0x2b, 0x1a, 0x0c, 0x8f})
	mbr[510], mbr[511] = 0x55, 0xAA
	set(virtio+"virtio1/block/vda/size", "4096")
	if err := os.WriteFile(filepath.Join(h.Dev, "vda"), mbr, 0o644); err != nil {
		t.Fatal(err)
	}
	if d, durable, err := h.Durable(t.Context(), "/dev/vda1"); err != nil || !durable || d.By != plan.ByPartUUID || d.Value != "8f0c1a2b-01" {
		t.Errorf("a partition: %+v, %v, %v", d, durable, err)
	}
	if err := os.WriteFile(filepath.Join(h.Dev, "dm-5"), bytes.Repeat([]byte{0}, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	if d, durable, err := h.Durable(t.Context(), "/dev/dm-5"); err != nil || !durable || d.By != plan.ByLayer || d.Value != lvmtest.Root || len(d.Layers) != 2 {
		t.Errorf("a volume: %+v, %v, %v", d, durable, err)
	}
}
