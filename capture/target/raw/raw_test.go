package raw

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/targettest"
)

// blank makes a device, which in these tests is a file. What a real block device does
// otherwise (O_EXCL, sizes, flushes) is for the tests in machines.
func blank(t testing.TB, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	return name
}

// soil fills the device's data with what was there before, so that a byte that should
// be zero and is not shows.
func soil(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, int(size-edge-dataStart)), dataStart); err != nil {
		t.Fatal(err)
	}
}

// view shows a device as a file system, read anew each time.
type view string

func (v view) Open(name string) (fs.File, error) {
	r, err := NewReader(string(v))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	m := fstest.MapFS{}
	for _, d := range r.Dirs() {
		m[d] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
	}
	for _, f := range r.Files() {
		var b bytes.Buffer
		if path.Clean(f.Name) == name {
			if _, err := f.WriteTo(&b); err != nil {
				return nil, err
			}
		}
		m[f.Name] = &fstest.MapFile{Data: b.Bytes(), Mode: 0o600}
	}
	return m.Open(name)
}

func TestSuite(t *testing.T) {
	targettest.Suite(t, func(t *testing.T) (target.Target, fs.FS) {
		const size = 64 << 20
		name := blank(t, size)
		soil(t, name, size)
		tg, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		return tg, view(name)
	}, targettest.Listing)
}

func put(t *testing.T, tg target.Target, name string, data []byte) {
	t.Helper()
	f, err := tg.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, name string) *Target {
	t.Helper()
	tg, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	return tg
}

func sub(t *testing.T, tg target.Target, name string) target.Target {
	t.Helper()
	s, err := tg.Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestForeign(t *testing.T) {
	const size = 16 << 20
	for name, off := range map[string]int64{
		"partition table": 510, "ext4": 1080, "lvm": 512, "swap": 4086, "btrfs": 64<<10 + 64, "zfs": 128 << 10,
		"array with its superblock at the end": size - 64<<10, "gpt copy": size - 512,
	} {
		for _, ours := range []bool{false, true} {
			if ours && (off < superSize || off >= tableA && off < size-edge) {
				continue // covers our own, which then is damaged or absent
			}
			dev := blank(t, size)
			if ours {
				tg := open(t, dev)
				put(t, sub(t, tg, "d"), "f", []byte("x"))
				tg.Close()
			}
			f, err := os.OpenFile(dev, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{1}, off); err != nil {
				t.Fatal(err)
			}
			f.Close()
			before, _ := os.ReadFile(dev)
			if _, err := Open(dev); !errors.Is(err, ErrForeign) {
				t.Errorf("%s (ours before: %v): %v, want one that wraps ErrForeign", name, ours, err)
			}
			if _, err := Check(dev); !errors.Is(err, ErrForeign) {
				t.Errorf("%s: Check: %v", name, err)
			}
			if after, _ := os.ReadFile(dev); !bytes.Equal(before, after) {
				t.Errorf("%s: the device was changed", name)
			}
		}
	}
	if _, err := Open(blank(t, 1<<20)); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("a device of 1 MiB: %v", err)
	}
}

// A second crash before the first dump is recovered goes behind it.
func TestNeverOverwrites(t *testing.T) {
	dev := blank(t, 16<<20)
	first := bytes.Repeat([]byte("first"), 500_000)
	tg := open(t, dev)
	put(t, sub(t, tg, "host-1"), "vmcore", first)
	if st, err := Check(dev); err != nil || st.Waiting != 1 || st.Blank {
		t.Errorf("%+v, %v", st, err)
	}
	tg = open(t, dev)
	s := sub(t, tg, "host-2")
	f, err := s.Create("vmcore")
	if err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 32<<20)
	n, err := f.Write(big)
	if !errors.Is(err, syscall.ENOSPC) || n == 0 || n > 14<<20 {
		t.Errorf("wrote %d bytes, %v; want some and ENOSPC", n, err)
	}
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	if err := f.CommitAs("vmcore-partial"); err != nil {
		t.Errorf("a cut file: %v", err)
	}
	if got, err := fs.ReadFile(view(dev), "host-1/vmcore"); err != nil || !bytes.Equal(got, first) {
		t.Errorf("the first dump is not what it was: %v", err)
	}
	if got, err := fs.ReadFile(view(dev), "host-2/vmcore-partial"); err != nil || !bytes.Equal(got, big[:1<<20]) {
		t.Errorf("the second dump: %v", err)
	}
}

func TestRecover(t *testing.T) {
	dev, dir := blank(t, 32<<20), filepath.Join(t.TempDir(), "crash")
	if got, err := Recover(t.Context(), dev, dir); err != nil || got.Files != 0 {
		t.Errorf("a blank device: %+v, %v", got, err)
	}
	tg := open(t, dev)
	core := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{1}).Read(core)
	s := sub(t, tg, "host-date")
	put(t, s, "dmesg.txt", []byte("log"))
	put(t, s, "vmcore", core)
	f, err := s.Create("report.json")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("half"))
	f.Sync() // and the power goes
	got, err := Recover(t.Context(), dev, dir)
	if err != nil || got.Files != 3 || len(got.Dirs) != 1 || len(got.Damaged) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, want := range map[string][]byte{"dmesg.txt": []byte("log"), "vmcore": core, "report.json.incomplete": []byte("half")} {
		p := filepath.Join(dir, "host-date", name)
		if b, err := os.ReadFile(p); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != 0o600 || time.Since(st.ModTime()) > time.Hour {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	if st, err := Check(dev); err != nil || st.Waiting != 0 || st.Free < 20<<20 {
		t.Errorf("after the recovery: %+v, %v", st, err)
	}
	if got, err := Recover(t.Context(), dev, dir); err != nil || got.Files != 0 {
		t.Errorf("once more: %+v, %v", got, err)
	}
	// The room is free for the next crash.
	put(t, sub(t, open(t, dev), "host-date"), "vmcore", make([]byte, 20<<20))
	got, err = Recover(t.Context(), dev, dir)
	if err != nil || len(got.Dirs) != 1 || filepath.Base(got.Dirs[0]) != "host-date-2" {
		t.Errorf("a dump of the same name: %+v, %v", got, err)
	}
}

func TestRecoverAfterPowerCut(t *testing.T) {
	dev, dir := blank(t, 16<<20), t.TempDir()
	put(t, sub(t, open(t, dev), "d"), "f", []byte("text"))
	before, err := os.ReadFile(dev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(t.Context(), dev, dir); err != nil {
		t.Fatal(err)
	}
	// The power went before the device was marked, and within a later copy.
	if err := os.WriteFile(dev, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, recovering+"d", "rest"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := Recover(t.Context(), dev, dir)
	if err != nil || len(got.Dirs) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v; want d alone", list, err)
	}
}

func TestDamaged(t *testing.T) {
	dev, dir := blank(t, 16<<20), t.TempDir()
	put(t, sub(t, open(t, dev), "d"), "f", []byte("text that will change"))
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{'X'}, dataStart); err != nil {
		t.Fatal(err)
	}
	got, err := Recover(t.Context(), dev, dir)
	if err != nil || len(got.Damaged) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "d", "f"+Damaged)); err != nil {
		t.Error(err)
	}
	// One damaged table leaves the one before; two leave nothing that can be told.
	f.WriteAt([]byte("no"), tableA)
	if _, err := Check(dev); err != nil {
		t.Errorf("with one table: %v", err)
	}
	f.WriteAt([]byte("no"), tableA+tableSize)
	if _, err := Open(dev); !errors.Is(err, ErrDamaged) {
		t.Errorf("with none: %v", err)
	}
}

// A power cut at any moment: whatever prefix of the writes is on the disk, no name
// without .incomplete has other bytes than its own.
func TestPowerCut(t *testing.T) {
	const size = 16 << 20
	dev := blank(t, size)
	tg := open(t, dev)
	s := sub(t, tg, "d")
	data := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{2}).Read(data)
	var states [][]byte
	snap := func() {
		b, err := os.ReadFile(dev)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, b)
	}
	f, err := s.Create("vmcore")
	if err != nil {
		t.Fatal(err)
	}
	snap()
	for off := 0; off < len(data); off += 1 << 20 {
		f.WriteAt(data[off:off+1<<20], int64(off))
		snap()
	}
	f.Sync()
	snap()
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	for i, b := range states {
		cut := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(cut, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Stat(view(cut), "d/vmcore"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("state %d: vmcore is there (%v)", i, err)
		}
		if _, err := fs.Stat(view(cut), "d/vmcore.incomplete"); err != nil {
			t.Errorf("state %d: %v", i, err)
		}
	}
	if got, err := fs.ReadFile(view(dev), "d/vmcore"); err != nil || !bytes.Equal(got, data) {
		t.Errorf("at the end: %v", err)
	}
}

func TestSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s spans
	var truth [200]bool
	for range 2000 {
		from := r.Int64N(190)
		to := from + r.Int64N(10)
		if r.IntN(20) == 0 {
			s.cut(from)
			clear(truth[from:])
		} else {
			s.add(from, to)
			for i := from; i < to; i++ {
				truth[i] = true
			}
		}
		var got [200]bool
		for i := range got {
			got[i] = true
		}
		for _, h := range s.holes(0, 200) {
			clear(got[h[0]:h[1]])
		}
		if got != truth {
			t.Fatalf("%v is not %v", s, truth)
		}
	}
}

func FuzzHeader(f *testing.F) {
	dev := filepath.Join(f.TempDir(), "d")
	os.WriteFile(dev, nil, 0o600)
	os.Truncate(dev, minSize)
	tg, err := Open(dev)
	if err != nil {
		f.Fatal(err)
	}
	file, err := tg.Create("f")
	if err != nil {
		f.Fatal(err)
	}
	file.Write([]byte("x"))
	file.Commit()
	b, _ := os.ReadFile(dev)
	f.Add(b[:superSize], b[tableA:tableA+512], b[tableA+tableSize:tableA+tableSize+512])
	f.Fuzz(func(t *testing.T, sb, a, b []byte) {
		s, ok, err := parseSuper(sb, minSize)
		if !ok || err != nil {
			s = super{size: minSize, chunk: minChunk}
		}
		for _, p := range [][]byte{a, b} {
			if tb, err := parseTable(p, s); err == nil {
				for _, e := range tb.Files {
					if e.Size < 0 {
						t.Error("a negative size")
					}
				}
			}
		}
	})
}
