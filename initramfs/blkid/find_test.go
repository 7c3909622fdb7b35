package blkid

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
)

// machine is a fake /sys and /dev.
type machine struct {
	t        *testing.T
	sys, dev string
	devices  string // where the entries of sys point
}

func newMachine(t *testing.T) *machine {
	root := t.TempDir()
	m := &machine{t, filepath.Join(root, "class/block"), filepath.Join(root, "dev"), filepath.Join(root, "devices")}
	for _, d := range []string{m.sys, m.dev, m.devices} {
		m.check(os.MkdirAll(d, 0o755))
	}
	return m
}

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// add makes a device; disk is "" or the disk that it is a partition of.
func (m *machine) add(name, disk string, contents image, holders ...string) {
	dir := filepath.Join(m.devices, disk, name)
	m.check(os.MkdirAll(filepath.Join(dir, "holders"), 0o755))
	for _, h := range holders {
		m.check(os.WriteFile(filepath.Join(dir, "holders", h), nil, 0o644))
	}
	m.check(os.WriteFile(filepath.Join(dir, "size"), []byte(strconv.Itoa(len(contents)/512)+"\n"), 0o644))
	if disk != "" {
		m.check(os.WriteFile(filepath.Join(dir, "partition"), []byte("1\n"), 0o644))
	}
	m.check(os.Symlink(dir, filepath.Join(m.sys, name)))
	node := filepath.Join(m.dev, strings.ReplaceAll(name, "!", "/"))
	m.check(os.MkdirAll(filepath.Dir(node), 0o755))
	m.check(os.WriteFile(node, contents, 0o644))
}

func (m *machine) finder() *Finder { return &Finder{Sys: m.sys, Dev: m.dev} }

var (
	byUUID  = plan.Device{By: plan.ByUUID, Value: strings.ToUpper(uuidText)}
	byLabel = plan.Device{By: plan.ByLabel, Value: "scratch"}
)

func TestFind(t *testing.T) {
	other := ext(devSize, 4, 0x2c2, 0x46b, "").put(1024+104, "another-uuid-16b")
	e4 := ext(devSize, 4, 0x2c2, 0x46b, "dumps")
	for _, tt := range []struct {
		name   string
		device plan.Device
		setup  func(*machine)
		want   string // the device's name; "" for an error
		is     error
		text   []string // parts of the error or of the list
	}{
		{"by uuid, any case", byUUID, func(m *machine) {
			m.add("vda", "", other)
			m.add("vdb", "", blank(devSize))
			m.add("vdb1", "vdb", e4)
		}, "vdb1", nil, []string{"vda: 0.2 MiB, ext4", "vdb: 0.2 MiB, unknown contents"}},
		{"by label", byLabel, func(m *machine) { m.add("sda", "", xfs(devSize)) }, "sda", nil, nil},
		{"labels have a case", plan.Device{By: plan.ByLabel, Value: "Scratch"}, func(m *machine) { m.add("sda", "", xfs(devSize)) }, "", ErrNotFound, nil},
		{"slash in a name", byLabel, func(m *machine) { m.add("cciss!c0d0", "", xfs(devSize)) }, "cciss/c0d0", nil, nil},
		{"by path", plan.Device{By: plan.ByPath, Value: "/dev/sda"}, func(m *machine) { m.add("sda", "", blank(devSize)) }, "sda", nil, nil},
		{"by path, missing", plan.Device{By: plan.ByPath, Value: "/dev/sdb"}, func(m *machine) { m.add("sda", "", blank(devSize)) }, "", ErrNotFound, nil},
		{"by path, no medium", plan.Device{By: plan.ByPath, Value: "/dev/sr0"}, func(m *machine) { m.add("sr0", "", nil) }, "", ErrNotFound, []string{"no medium"}},
		{"nothing there", byUUID, func(*machine) {}, "", ErrNotFound, []string{"no block devices at all"}},
		{"skipped devices", byUUID, func(m *machine) {
			m.add("loop0", "", e4)
			m.add("ram1", "", e4)
			m.add("zram0", "", e4)
		}, "", ErrNotFound, []string{"no block devices at all"}},
		{"two disks", byUUID, func(m *machine) { m.add("sda", "", e4); m.add("sdb", "", e4) }, "", ErrAmbiguous, []string{"dev/sda, ", "dev/sdb"}},
		{"two partitions of one disk", byUUID, func(m *machine) {
			m.add("sda", "", blank(devSize))
			m.add("sda1", "sda", e4)
			m.add("sda2", "sda", e4)
		}, "", ErrAmbiguous, []string{"sda1", "sda2"}},
		{"partition at sector 0", byUUID, func(m *machine) { m.add("sda", "", e4); m.add("sda1", "sda", e4) }, "sda1", nil, nil},
		{"multipath", byUUID, func(m *machine) {
			m.add("dm-0", "", e4)
			m.add("sda", "", e4, "dm-0")
			m.add("sdb", "", e4, "dm-0")
		}, "dm-0", nil, nil},
		{"leftover superblock", byUUID, func(m *machine) { m.add("sda", "", xfs(devSize).put(1024, []byte(e4[1024:2048]))) }, "sda", nil, nil},
		{"mirror's member", byUUID, func(m *machine) {
			m.add("sda", "", ext(devSize, 4, 0x2c2, 0x46b, "").put(devSize-8192, uint32(0xa92b4efc), uint32(1)))
		}, "", ErrNotFound, []string{"linux_raid_member"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.setup(m)
			path, seen, err := m.finder().Find(t.Context(), tt.device)
			if tt.want != "" && (err != nil || path != filepath.Join(m.dev, tt.want)) {
				t.Fatalf("got %q, %v; want %s", path, err, tt.want)
			}
			if tt.want == "" && (path != "" || !errors.Is(err, tt.is)) {
				t.Fatalf("got %q, %v; want error %v", path, err, tt.is)
			}
			text := Describe(seen)
			if err != nil {
				text += err.Error()
			}
			for _, part := range tt.text {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not in %q", part, text)
				}
			}
		})
	}
}

func TestFindAgain(t *testing.T) {
	m := newMachine(t)
	f := m.finder()
	if _, _, err := f.Find(t.Context(), byUUID); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	m.add("vda", "", ext(devSize, 4, 0x2c2, 0x46b, ""))
	if _, _, err := f.Find(t.Context(), byUUID); err != nil {
		t.Errorf("a device that came late: %v", err)
	}
}

func TestHungDevice(t *testing.T) {
	m := newMachine(t)
	m.add("sda", "", blank(devSize))
	m.add("sdb", "", ext(devSize, 4, 0x2c2, 0x46b, ""))
	f := m.finder()
	release := make(chan struct{})
	asked := 0
	f.probe = func(path string, n int64) ([]Info, error) {
		if strings.HasSuffix(path, "sda") {
			asked++
			<-release
			return []Info{{Type: "xfs", Label: "scratch"}}, nil
		}
		return probePath(path, n)
	}
	f.Timeout = time.Second
	for range 2 {
		path, seen, err := f.Find(t.Context(), byUUID)
		if err != nil || !strings.HasSuffix(path, "sdb") {
			t.Fatalf("got %q, %v", path, err)
		}
		if !strings.Contains(Describe(seen), "sda: 0.2 MiB, does not answer") {
			t.Fatalf("seen: %s", Describe(seen))
		}
	}
	close(release)
	for { // until it answers; the test's own time limit ends it otherwise
		if _, _, err := f.Find(t.Context(), byLabel); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if asked != 1 {
		t.Errorf("a hung device was asked %d times", asked)
	}
}

func TestFindErrors(t *testing.T) {
	f := &Finder{Sys: filepath.Join(t.TempDir(), "none")}
	if _, _, err := f.Find(t.Context(), byUUID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no sysfs: %v", err)
	}
	m := newMachine(t)
	m.add("sda", "", blank(devSize))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.finder().Find(ctx, byUUID); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	m.check(os.Remove(filepath.Join(m.dev, "sda")))
	if _, seen, _ := m.finder().Find(t.Context(), byUUID); !strings.Contains(Describe(seen), "no such file") {
		t.Errorf("no node: %s", Describe(seen))
	}
}
