package drivers

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/elftest"
	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/google/go-cmp/cmp"
)

// fake builds a sysfs and a /dev. A line is "link FROM TO" (FROM under the root, TO
// as seen from the root) or "file NAME TEXT" or "dir NAME".
func fake(t *testing.T, text string) Host {
	t.Helper()
	root := t.TempDir()
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		f := strings.Fields(l)
		name := filepath.Join(root, f[1])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch f[0] {
		case "link":
			to := filepath.Join(root, f[2])
			if err = os.MkdirAll(to, 0o755); err == nil || strings.HasPrefix(f[2], "dev/") {
				rel, _ := filepath.Rel(filepath.Dir(name), to)
				err = os.Symlink(rel, name)
			}
		case "file":
			err = os.WriteFile(name, []byte(strings.Join(f[2:], " ")+"\n"), 0o644)
		case "dir":
			err = os.MkdirAll(name, 0o755)
		default:
			t.Fatalf("what is %q", l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Host{Sys: filepath.Join(root, "sys"), Dev: filepath.Join(root, "dev")}
}

const machine = `
file sys/devices/pci0000:00/0000:00:01.0/modalias pci:v1
link sys/devices/pci0000:00/0000:00:01.0/driver sys/bus/pci/drivers/pcieport
file sys/devices/pci0000:00/0000:00:01.0/04.0/modalias pci:v00001AF4
link sys/devices/pci0000:00/0000:00:01.0/04.0/driver sys/bus/pci/drivers/virtio-pci
link sys/bus/pci/drivers/virtio-pci/module sys/module/virtio_pci
file sys/devices/pci0000:00/0000:00:01.0/04.0/virtio1/modalias virtio:d2
link sys/devices/pci0000:00/0000:00:01.0/04.0/virtio1/driver sys/bus/virtio/drivers/virtio_blk
link sys/bus/virtio/drivers/virtio_blk/module sys/module/virtio_blk
file sys/devices/pci0000:00/0000:00:01.0/04.0/virtio1/block/vda/vda1/partition 1
link sys/class/block/vda sys/devices/pci0000:00/0000:00:01.0/04.0/virtio1/block/vda
link sys/class/block/vda1 sys/devices/pci0000:00/0000:00:01.0/04.0/virtio1/block/vda/vda1
link sys/dev/block/254:1 sys/devices/pci0000:00/0000:00:01.0/04.0/virtio1/block/vda/vda1
file dev/vda1 x
file dev/vda x
file dev/null x
link dev/disk/by-uuid/1-2 dev/vda1
link dev/mapper/vg-lv dev/dm-0
link sys/class/block/dm-0 sys/devices/virtual/block/dm-0
file sys/devices/virtual/block/dm-0/dm/uuid LVM-abcdef
link sys/devices/virtual/block/dm-0/slaves/vda1 sys/class/block/vda1
link sys/class/block/dm-1 sys/devices/virtual/block/dm-1
file sys/devices/virtual/block/dm-1/dm/uuid CRYPT-LUKS2-x
link sys/class/block/md0 sys/devices/virtual/block/md0
dir sys/devices/virtual/block/md0/md
link sys/class/block/loop0 sys/devices/virtual/block/loop0
link sys/class/block/ram0 sys/devices/virtual/block/ram0
link sys/class/block/nvme0n1 sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1
link sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0 sys/devices/pci0000:00/0000:00:05.0/nvme/nvme0
link sys/devices/pci0000:00/0000:00:05.0/driver sys/bus/pci/drivers/nvme
link sys/bus/pci/drivers/nvme/module sys/module/nvme
link sys/class/watchdog/watchdog0/device sys/devices/pci0000:00/0000:00:1f.0/iTCO_wdt
link sys/devices/pci0000:00/0000:00:1f.0/driver sys/bus/pci/drivers/lpc_ich
link sys/bus/pci/drivers/lpc_ich/module sys/module/lpc_ich
link sys/devices/pci0000:00/0000:00:1f.0/iTCO_wdt/driver sys/bus/platform/drivers/iTCO_wdt
link sys/bus/platform/drivers/iTCO_wdt/module sys/module/iTCO_wdt
`

func TestChain(t *testing.T) {
	h := fake(t, machine)
	virtio := []Driver{
		{"0000:00:01.0", "pcieport", "", "pci:v1"},
		{"04.0", "virtio-pci", "virtio_pci", "pci:v00001AF4"},
		{"virtio1", "virtio_blk", "virtio_blk", "virtio:d2"},
	}
	for name, want := range map[string][]Driver{
		"vda": virtio, "vda1": virtio,
		"nvme0n1": {{"0000:00:05.0", "nvme", "nvme", ""}},
	} {
		got, err := h.Chain(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if _, err := h.Chain("sda"); err == nil {
		t.Error("a disk that is not there has a chain")
	}
}

func TestStacked(t *testing.T) {
	h := fake(t, machine)
	for name, want := range map[string]string{
		"dm-0": "an LVM volume on vda1", "dm-1": "an encrypted volume", "md0": "a software RAID",
		"loop0": "a loop device", "ram0": "a virtual device",
	} {
		_, err := h.Chain(name)
		if e := (*StackedError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	h := fake(t, machine)
	for _, tt := range []struct {
		by          plan.DeviceBy
		value, want string
	}{
		{plan.ByUUID, "1-2", "vda1"},
		{plan.ByPath, "/dev/vda", "vda"},
		{plan.ByPath, "/dev/disk/by-uuid/1-2", "vda1"},
		{plan.ByPath, "/dev/mapper/vg-lv", "dm-0"},
		{plan.ByPath, "/dev/disk/by-id/nobody", ""},
		{plan.ByPath, "/dev/null", ""},
		{plan.ByUUID, "9-9", ""},
		{plan.ByLabel, "nobody", ""},
	} {
		d, want := plan.Device{By: tt.by, Value: tt.value}, tt.want
		got, err := h.Find(t.Context(), d)
		if got != want || (want == "") != errors.Is(err, blkid.ErrNotFound) {
			t.Errorf("%v: %q, %v, want %q", d, got, err, want)
		}
	}
}

// xfs gives the start of a disk with an xfs superblock: struct xfs_dsb,
// fs/xfs/libxfs/xfs_format.h.
func xfs() []byte {
	b := make([]byte, 128<<10)
	copy(b, "XFSB")
	binary.BigEndian.PutUint32(b[4:], 4096)
	binary.BigEndian.PutUint16(b[102:], 512)
	for i := range 16 {
		b[32+i] = byte(i + 1)
	}
	return b
}

func TestIdentify(t *testing.T) {
	h := fake(t, machine)
	if err := os.WriteFile(filepath.Join(h.Dev, "vda1"), xfs(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dev := range []string{"254:1", "/dev/vda1", "/dev/disk/by-uuid/1-2"} {
		id, err := h.Identify(dev)
		info := id.Info
		if err != nil || info.Type != "xfs" || info.UUID != "01020304-0506-0708-090a-0b0c0d0e0f10" {
			t.Errorf("%s: %+v, %v", dev, info, err)
		}
	}
	for dev, want := range map[string]string{
		"/dev/mapper/vg-lv": "LVM", "8:1": "8:1", "/dev/vda": "file system", "/dev/nothing": "nothing",
	} {
		if _, err := h.Identify(dev); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", dev, err, want)
		}
	}
}

func TestWatchdog(t *testing.T) {
	got, err := fake(t, machine).Watchdog()
	want := []Driver{{"0000:00:1f.0", "lpc_ich", "lpc_ich", ""}, {"iTCO_wdt", "iTCO_wdt", "iTCO_wdt", ""}}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %v", got, err)
	}
	got, err = fake(t, "dir sys/devices").Watchdog()
	if got != nil || err != nil {
		t.Errorf("without one: %v, %v", got, err)
	}
}

func TestWants(t *testing.T) {
	m := fstest.MapFS{}
	for _, n := range []string{"virtio_pci", "nvme"} {
		m["lib/modules/2/kernel/"+n+".ko"] = &fstest.MapFile{Data: elftest.Module(elf.EM_X86_64, "vermagic=2")}
	}
	tree, err := modules.Open(m, "2")
	if err != nil {
		t.Fatal(err)
	}
	chain := []Driver{
		{"a", "pcieport", "", "pci:v1"}, {"b", "virtio-pci", "virtio_pci", "pci:v2"}, {"c", "old", "gone", "pci:v3"}, {"d", "x", "lost", ""}, {"e", "y", "", ""},
	}
	names := func(running string) string {
		var s []string
		for _, w := range Wants(tree, running, chain) {
			n := w.Name
			if w.Optional {
				n = "(" + n + ")"
			}
			s = append(s, n)
		}
		return strings.Join(s, " ")
	}
	if got := names("2"); got != "virtio_pci pci:v3 lost" {
		t.Errorf("same kernel: %s", got)
	}
	if got := names("1"); got != "(pci:v1) virtio_pci pci:v3 lost" {
		t.Errorf("another kernel: %s", got)
	}
	for _, w := range Common() {
		if !w.Optional {
			t.Errorf("%s is not optional", w.Name)
		}
	}
}
