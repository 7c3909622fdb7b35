package target

import (
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// file is a File of a Dir.
type file struct {
	f    *os.File
	dir  *Dir
	name string

	pos  int64        // where the next Write goes
	size atomic.Int64 // highest end of a write, or what Truncate set

	behind WriteBehind

	mu        sync.Mutex // over the fields below
	closed    bool
	committed string // the name it got
	lost      error  // what a write back reported; the kernel tells it only once
}

// Write implements [File].
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// WriteAt implements [File]. Every few MiB it starts the write back of what is
// dirty and waits for the round before, so that the page cache, which shares
// the crash kernel's little memory, holds two rounds at most.
func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.dir.gone.do(func() error { n, err = f.writeAt(p, off); return err })
	return n, err
}

func (f *file) writeAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	f.grow(off + int64(n))
	if err != nil {
		return n, err
	}
	if err := f.behind.Wrote(f.f, n); err != nil {
		err = f.errorf("write back", err)
		f.fail(err)
		return n, err
	}
	return n, nil
}

// ReadAt implements [File].
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.dir.gone.do(func() error { n, err = f.f.ReadAt(p, off); return err })
	return n, err
}

func (f *file) grow(end int64) {
	for {
		old := f.size.Load()
		if end <= old || f.size.CompareAndSwap(old, end) {
			return
		}
	}
}

// fail remembers an error of the write back: a later fsync would not report it
// again, and the file must not be called whole.
func (f *file) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil {
		f.lost = err
	}
}

// Forgive forgets an error of the write back, and gives how many bytes may have been
// under way when it came. Whoever calls it cuts the file's end by that, and writes again
// what else was written lately.
func (f *file) Forgive() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = nil
	return underWay
}

func (f *file) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// Allocate reserves n bytes of the disk from off, so that writing them later
// cannot end in ENOSPC, and lengthens the file over them; they read as zeros.
// The error wraps errors.ErrUnsupported where the file system cannot.
func (f *file) Allocate(off, n int64) error {
	err := f.dir.gone.do(func() error {
		return retry(func() error { return unix.Fallocate(int(f.f.Fd()), 0, off, n) })
	})
	if err != nil { // ENOTSUP and ENOSYS are errors.ErrUnsupported
		return f.errorf("allocate", err)
	}
	f.grow(off + n)
	return nil
}

// Free is the number of bytes free where the file lies; see [Dir.Free].
func (f *file) Free() (uint64, error) {
	var n uint64
	err := f.dir.gone.do(func() (err error) { n, err = free(f.f); return err })
	if err != nil {
		return 0, f.errorf("free space", err)
	}
	return n, nil
}

// Truncate implements [File].
func (f *file) Truncate(size int64) error {
	if err := f.dir.gone.do(func() error { return f.f.Truncate(size) }); err != nil {
		return err
	}
	f.size.Store(size)
	return nil
}

// Sync implements [File].
func (f *file) Sync() error {
	if err := f.failed(); err != nil {
		return err
	}
	if err := f.dir.gone.do(f.f.Sync); err != nil {
		f.fail(err)
		return err
	}
	return nil
}

// Uncache drops what is clean from the page cache, which after Sync is all of the
// file, so that what is read next comes from the disk.
func (f *file) Uncache() error {
	if err := unix.Fadvise(int(f.f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return f.errorf("drop from the page cache", err)
	}
	return nil
}

// Commit implements [File].
func (f *file) Commit() error { return f.CommitAs(f.name) }

// CommitAs implements [File].
func (f *file) CommitAs(name string) error {
	if err := CheckName(name); err != nil {
		return fmt.Errorf("commit as %w", err)
	}
	if !f.close() {
		return f.errorf("commit", fs.ErrClosed)
	}
	err := f.Sync()
	if cerr := f.shut(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := f.dir.gone.do(func() error { return f.dir.rename(f.name+Incomplete, name) }); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	f.mu.Lock()
	f.committed = name
	f.mu.Unlock()
	if err := f.dir.gone.do(func() error { return syncDir(f.dir.dir) }); err != nil {
		return fmt.Errorf("commit %s: the name may not last: %w", name, err)
	}
	return nil
}

// Abandon implements [File].
func (f *file) Abandon() error {
	if !f.close() {
		return nil
	}
	return f.shut()
}

// shut closes the file, unless that would only wait.
func (f *file) shut() error {
	if f.dir.gone.keep(f.f) {
		return f.dir.gone.err()
	}
	return f.dir.gone.do(f.f.Close)
}

// close tells whether the caller is the one that ends the file.
func (f *file) close() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.closed
	f.closed = true
	return !was
}

// Size implements [File].
func (f *file) Size() int64 { return f.size.Load() }

// Name implements [File].
func (f *file) Name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.committed != "" {
		return f.committed
	}
	return f.name + Incomplete
}

func (f *file) errorf(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.f.Name(), Err: err}
}

// The optional parts that a dump writer makes use of.
var _ interface {
	File
	Allocate(off, n int64) error
	Free() (uint64, error)
	Uncache() error
} = (*file)(nil)
