package target

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func newFile(t *testing.T) (*file, string) {
	t.Helper()
	path := t.TempDir()
	d, err := NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	f, err := d.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Abandon() })
	return f.(*file), filepath.Join(path, "f")
}

// swap puts a device in the place of the file's data.
func swap(t *testing.T, f *file, path string) {
	t.Helper()
	dev, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.f.Close()
	f.f = dev
}

func TestFullDisk(t *testing.T) {
	f, path := newFile(t)
	swap(t, f, "/dev/full")
	if n, err := f.Write(make([]byte, 100)); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Write to a full disk: %d, %v", n, err)
	}
	if err := f.Commit(); err == nil { // a device knows no fsync: EINVAL
		t.Error("Commit after a failed fsync succeeded")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", path, err)
	}
	if _, err := os.Stat(path + Incomplete); err != nil {
		t.Error(err)
	}
}

// The kernel reports a lost write back once; the file remembers it.
func TestLostWriteIsRemembered(t *testing.T) {
	f, path := newFile(t)
	f.fail(f.errorf("write back", syscall.EIO))
	for range 2 {
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Sync: %v", err)
		}
	}
	if err := f.Commit(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Commit: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", path, err)
	}
}

// A file without page cache refuses sync_file_range: writing goes on without.
func TestNoWriteBehind(t *testing.T) {
	f, _ := newFile(t)
	swap(t, f, "/dev/null")
	p := make([]byte, round)
	for i := range 3 {
		if _, err := f.WriteAt(p, int64(i*round)); err != nil {
			t.Fatal(err)
		}
	}
	if !f.behind.off.Load() {
		t.Error("the refusal was not noticed")
	}
}

func TestAllocate(t *testing.T) {
	f, _ := newFile(t)
	err := f.Allocate(0, 1<<20)
	if errors.Is(err, errors.ErrUnsupported) {
		return // the file system under the test cannot; the writer then writes zeros
	}
	if err != nil || f.Size() != 1<<20 {
		t.Errorf("Allocate: %v, size %d", err, f.Size())
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.f.Fd()), &st); err != nil || st.Blocks*512 < 1<<20 {
		t.Errorf("%d blocks after Allocate, %v", st.Blocks, err)
	}
	if err := f.Allocate(0, 1<<60); err == nil {
		t.Error("an exbibyte was allocated")
	}
	if n, err := f.Free(); n == 0 || err != nil {
		t.Errorf("Free: %d, %v", n, err)
	}
}

func TestFreeError(t *testing.T) {
	d, err := NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if _, err := d.Free(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Free of a closed directory: %v", err)
	}
	if _, err := d.Create("f"); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Create in a closed directory: %v", err)
	}
}
