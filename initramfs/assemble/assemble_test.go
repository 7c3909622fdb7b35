package assemble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/lvm2/lvmtest"
	"github.com/google/go-cmp/cmp"
)

// machine is a fake /sys and /dev. The drivers' answers are faked with it: the real
// ones are called in the tests in machines.
type machine struct {
	*testing.T
	sys, dev string
	number   int
}

func newMachine(t *testing.T) *machine {
	m := &machine{T: t, sys: filepath.Join(t.TempDir(), "sys"), dev: filepath.Join(t.TempDir(), "dev")}
	for _, d := range []string{filepath.Join(m.sys, "class/block"), m.dev} {
		m.check(os.MkdirAll(d, 0o755))
	}
	return m
}

func (m *machine) check(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *machine) set(name, attr, value string) {
	path := filepath.Join(m.sys, "class/block", name, attr)
	m.check(os.MkdirAll(filepath.Dir(path), 0o755))
	m.check(os.WriteFile(path, []byte(value+"\n"), 0o644))
}

// add makes a device of size bytes that begins with contents.
func (m *machine) add(name string, contents []byte, size int64) {
	m.check(os.WriteFile(filepath.Join(m.dev, name), contents, 0o644))
	m.set(name, "size", fmt.Sprint(size/512))
	m.set(name, "dev", fmt.Sprintf("254:%d", m.number))
	m.number++
}

func (m *machine) builder() *Builder {
	return &Builder{Finder: &blkid.Finder{Sys: filepath.Join(m.sys, "class/block"), Dev: m.dev}, Sys: m.sys, Dev: m.dev}
}

// extSuper is the start of a device with an ext4 file system, for blkid alone.
func extSuper() []byte {
	b := make([]byte, 128<<10)
	sb := b[1024:]
	binary.LittleEndian.PutUint32(sb[24:], 2)
	binary.LittleEndian.PutUint32(sb[32:], 1)
	binary.LittleEndian.PutUint32(sb[40:], 1)
	binary.LittleEndian.PutUint16(sb[56:], 0xEF53)
	binary.LittleEndian.PutUint32(sb[96:], 0x40)
	copy(sb[104:], "0123456789abcdef")
	return b
}

func onVolume(by plan.DeviceBy, value string) plan.Device {
	return plan.Device{By: by, Value: value, Layers: []plan.Layer{{Kind: plan.LayerLVM, UUID: lvmtest.Root, Group: lvmtest.Group, Name: "vg-a/root"}}}
}

func TestVolume(t *testing.T) {
	m := newMachine(t)
	const mib = 1 << 20
	m.add("vda", lvmtest.Volume(t, "pv1"), 80*mib)
	b := m.builder()
	made := 0
	b.linear = func(name, uuid string, lines []Linear) error {
		want := []Linear{
			{Start: 0, Length: 8 * 8192, Device: "254:0", Offset: 2048},
			{Start: 8 * 8192, Length: 7 * 8192, Device: "254:0", Offset: 2048 + 10*8192},
			{Start: 15 * 8192, Length: 2 * 8192, Device: "254:1", Offset: 2048 + 10*8192},
		}
		if d := cmp.Diff(want, lines); d != "" || name != "vg--a-root" || uuid != "LVM-"+lvmtest.Group+lvmtest.Root {
			t.Errorf("%s %s: %s", name, uuid, d)
		}
		made++
		m.add("dm-0", extSuper(), 68*mib)
		m.set("dm-0", "dm/uuid", uuid)
		return nil
	}
	d := onVolume(plan.ByUUID, "30313233-3435-3637-3839-616263646566")
	_, _, err := b.Find(t.Context(), d)
	if p := (*blkid.Pending)(nil); !errors.As(err, &p) || !errors.Is(err, blkid.ErrNotFound) || !strings.Contains(err.Error(), "is not there") {
		t.Fatalf("with one of two physical volumes: %v", err)
	}
	m.add("sdb", lvmtest.Volume(t, "pv0"), 64*mib)
	for range 2 {
		got, _, err := b.Find(t.Context(), d)
		if err != nil || got != filepath.Join(m.dev, "dm-0") {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if got, _, err := b.Find(t.Context(), onVolume(plan.ByLayer, lvmtest.Root)); err != nil || got != filepath.Join(m.dev, "dm-0") {
		t.Errorf("the volume itself: %s, %v", got, err)
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

// A disk that somebody copied is no business of a volume that does not lie on it.
func TestVolumeBesideCopies(t *testing.T) {
	const mib = 1 << 20
	m := newMachine(t)
	m.add("vda", lvmtest.Volume(t, "pv0"), 64*mib)
	m.add("vdb", lvmtest.Volume(t, "pv1"), 80*mib)
	other := lvmtest.Renamed(t, "pv0")
	m.add("vdc", other, 64*mib)
	m.add("vdd", other, 64*mib)
	b := m.builder()
	b.linear = func(_, uuid string, _ []Linear) error {
		m.add("dm-0", extSuper(), 68*mib)
		m.set("dm-0", "dm/uuid", uuid)
		return nil
	}
	if _, _, err := b.Find(t.Context(), onVolume(plan.ByLayer, lvmtest.Root)); err != nil {
		t.Error(err)
	}
}

func TestVolumeRefused(t *testing.T) {
	const mib = 1 << 20
	for name, tt := range map[string]struct {
		do   func(m *machine)
		want string
	}{
		"no group": {func(m *machine) { m.add("vda", make([]byte, 1<<17), mib) }, "no physical volume of group"},
		"twice": {func(m *machine) {
			m.add("vda", lvmtest.Volume(t, "pv0"), 64*mib)
			m.add("vdb", lvmtest.Volume(t, "pv0"), 64*mib)
			m.add("vdc", lvmtest.Volume(t, "pv1"), 80*mib)
		}, "both physical volume"},
		"cut device": {func(m *machine) {
			m.add("vda", lvmtest.Volume(t, "pv0"), 64*mib)
			m.add("vdb", lvmtest.Volume(t, "pv1"), 30*mib)
		}, "ends at byte"},
		"damaged": {func(m *machine) {
			b := lvmtest.Volume(t, "pv0")
			b[4096+30]++
			m.add("vda", b, 64*mib)
		}, "no physical volume of group"},
	} {
		m := newMachine(t)
		tt.do(m)
		b := m.builder()
		b.linear = func(string, string, []Linear) error { t.Errorf("%s: made", name); return nil }
		if _, _, err := b.Find(t.Context(), onVolume(plan.ByLayer, lvmtest.Root)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
}

// memberOf gives a member's start, metadata 1.1.
func memberOf(uuid byte, number int, events uint64, level int32, role uint16) []byte {
	b := make([]byte, 256<<10)
	le := binary.LittleEndian
	le.PutUint32(b, 0xa92b4efc)
	le.PutUint32(b[4:], 1)
	b[16], b[168] = uuid, byte(number+1)
	le.PutUint32(b[72:], uint32(level))
	le.PutUint32(b[92:], 2)
	le.PutUint32(b[160:], uint32(number))
	le.PutUint64(b[200:], events)
	le.PutUint32(b[220:], 2)
	le.PutUint16(b[256+2*number:], role)
	return b
}

const arrayID = "05000000-0000-0000-0000-000000000000"

func name(number int) string { return fmt.Sprintf("%02x000000-0000-0000-0000-000000000000", number+1) }

func TestArray(t *testing.T) {
	array := plan.Device{By: plan.ByLayer, Value: arrayID, Layers: []plan.Layer{{Kind: plan.LayerMD, UUID: arrayID, Name: "md0", Members: []string{name(0), name(1)}}}}
	for what, tt := range map[string]struct {
		members map[string][]byte
		grace   time.Duration
		want    string // the members started with, in order; or the error
	}{
		"whole":                {map[string][]byte{"vda": memberOf(5, 0, 7, 1, 0), "vdb": memberOf(5, 1, 9, 1, 1)}, time.Hour, "254:1 254:0"},
		"one is late":          {map[string][]byte{"vda": memberOf(5, 0, 7, 1, 0)}, time.Hour, "1 of 2 members"},
		"one does not come":    {map[string][]byte{"vda": memberOf(5, 0, 7, 1, 0)}, time.Nanosecond, "254:0"},
		"none":                 {map[string][]byte{"vda": memberOf(6, 0, 7, 1, 0)}, time.Nanosecond, "none of its members"},
		"RAID5":                {map[string][]byte{"vda": memberOf(5, 0, 7, 5, 0)}, time.Nanosecond, "RAID level 5"},
		"a spare and a dead":   {map[string][]byte{"vda": memberOf(5, 0, 7, 1, 0xffff), "vdb": memberOf(5, 1, 7, 1, 0xfffe)}, time.Nanosecond, "none of its members"},
		"an outdated one":      {map[string][]byte{"vda": withName(memberOf(5, 0, 7, 1, 0), 9)}, time.Nanosecond, "outdated"},
		"one new beside known": {map[string][]byte{"vda": memberOf(5, 0, 7, 1, 0), "vdb": withName(memberOf(5, 1, 7, 1, 1), 9)}, time.Nanosecond, "254:0 254:1"},
	} {
		m := newMachine(t)
		for _, n := range []string{"vda", "vdb"} {
			if b, ok := tt.members[n]; ok {
				m.add(n, b, int64(len(b)))
			}
		}
		b := m.builder()
		b.Grace = tt.grace
		got := ""
		b.array = func(major, minor int, members []string) (string, error) {
			got = strings.Join(members, " ")
			if major != 1 || minor != 1 {
				t.Errorf("%s: metadata %d.%d", what, major, minor)
			}
			m.add("md127", make([]byte, 1<<17), 1<<20)
			return "md127", nil
		}
		_, _, err := b.Find(t.Context(), array) // the first look starts the members' time
		time.Sleep(time.Millisecond)
		if err != nil {
			_, _, err = b.Find(t.Context(), array)
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || err == nil && got != tt.want {
			t.Errorf("%s: %q, want %q", what, got, tt.want)
		}
	}
}

// What is said of an array is what the driver made of it.
func TestInUse(t *testing.T) {
	m := newMachine(t)
	b := m.builder()
	if got := b.inUse("md127", 2); got != "2" {
		t.Errorf("without a word from the driver: %q", got)
	}
	m.set("md127", "md/raid_disks", "2")
	m.set("md127", "md/degraded", "1")
	if got := b.inUse("md127", 2); got != "1 of 2" {
		t.Errorf("%q", got)
	}
}

func withName(b []byte, n byte) []byte {
	b[168] = n
	return b
}

// An array of an attempt before is not started again; and the wait for a member never
// takes the whole time there is.
func TestArrayThatRuns(t *testing.T) {
	m := newMachine(t)
	m.add("vda", memberOf(5, 0, 7, 1, 0), 256<<10)
	m.set("vda", "holders/md126", "")
	m.add("md126", extSuper(), 1<<20)
	b := m.builder()
	b.array = func(int, int, []string) (string, error) { t.Error("started again"); return "", nil }
	d := plan.Device{By: plan.ByUUID, Value: "30313233-3435-3637-3839-616263646566", Layers: []plan.Layer{{Kind: plan.LayerMD, UUID: arrayID, Name: "md0", Members: []string{name(0)}}}}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if got, _, err := b.Find(ctx, d); err != nil || got != filepath.Join(m.dev, "md126") {
		t.Errorf("%s, %v", got, err)
	}
	if b.grace > time.Second {
		t.Errorf("members are waited for %v of 3 s", b.grace)
	}
}
