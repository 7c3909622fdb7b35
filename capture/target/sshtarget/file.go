package sshtarget

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/pkg/sftp"
)

// file is a File of a dir.
type file struct {
	dir  *dir
	name string
	path string // of NAME.incomplete

	pos  int64        // where the next Write goes
	size atomic.Int64 // highest end of a write, or what Truncate set

	mu        sync.Mutex // over the fields below
	handle    *sftp.File
	gen       int   // of the connection that handle is of
	resumed   bool  // the connection was lost after something was written
	lost      error // what a sync reported; the server may tell it only once
	closed    bool
	committed string // the name it got
}

// do does something with the file, on whatever connection there is.
func (f *file) do(op string, extra time.Duration, do func(*conn, *sftp.File) error) error {
	return f.dir.link.do(op+" "+f.path, extra, func(c *conn) error {
		h, err := f.open(c)
		if err != nil {
			return err
		}
		return do(c, h)
	})
}

// open gives the file's handle. On a new connection it is opened again; what it
// has is not touched.
func (f *file) open(c *conn) (*sftp.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, fs.ErrClosed
	}
	if f.gen == c.gen {
		return f.handle, nil
	}
	h, err := c.sftp.OpenFile(f.path, os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("open it again after the connection was lost: %w", err)
	}
	fi, err := h.Stat()
	if err != nil {
		return nil, err
	}
	// What the server has confirmed is there, unless it has itself crashed.
	if confirmed := f.size.Load(); fi.Size() < confirmed {
		return nil, fmt.Errorf("after the connection was lost the file has %d bytes, but the server had confirmed %d: it has lost some", fi.Size(), confirmed)
	}
	f.handle, f.gen = h, c.gen
	f.resumed = f.resumed || f.size.Load() > 0
	return h, nil
}

// Doubtful tells whether the connection was lost while the file was written. All
// that the server confirmed before should be there, but should it have crashed,
// it is not: all of the file is to be read back.
func (f *file) Doubtful() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resumed
}

// Write implements [target.File].
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// WriteAt implements [target.File]. It returns when the server has confirmed all
// of p, which goes out in many requests at once.
func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.do("write", moving(len(p)), func(c *conn, h *sftp.File) error {
		var err error
		if n, err = h.WriteAt(p, off); err != nil && !isLost(err) {
			return reason(c.sftp, f.path, err, max(len(p), 1))
		}
		return err
	})
	f.grow(off + int64(n))
	return n, err
}

// ReadAt implements [target.File].
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	var end error // the file's, not the connection's
	err = f.do("read", moving(len(p)), func(_ *conn, h *sftp.File) error {
		var err error
		if n, err = h.ReadAt(p, off); err == io.EOF {
			end, err = io.EOF, nil
		}
		return err
	})
	if err == nil {
		err = end
	}
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

// Free is the number of bytes free where the file lies.
func (f *file) Free() (uint64, error) { return f.dir.Free() }

// Truncate implements [target.File].
func (f *file) Truncate(size int64) error {
	if !f.isClosed() && size == f.size.Load() { // some servers do not know how
		return nil
	}
	err := f.do("truncate", 0, func(c *conn, h *sftp.File) error {
		err := h.Truncate(size)
		if err != nil && !isLost(err) {
			return reason(c.sftp, f.path, err, 1)
		}
		return err
	})
	if err == nil {
		f.size.Store(size)
	}
	return err
}

// Sync implements [target.File]. A server without fsync@openssh.com makes it do
// nothing, of which the target warns.
func (f *file) Sync() error {
	f.mu.Lock()
	err := f.lost
	f.mu.Unlock()
	if err != nil || f.dir.server.noSync.Load() {
		return err
	}
	// A disk may take its time to write what was confirmed.
	const rate = 8 << 20 // bytes per second
	extra := min(time.Duration(f.size.Load()/rate)*time.Second, 3*f.dir.link.cfg.Timeout)
	err = f.do("sync", extra, func(_ *conn, h *sftp.File) error { return h.Sync() })
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		f.mu.Lock()
		f.lost = err
		f.mu.Unlock()
	}
	return err
}

// Commit implements [target.File].
func (f *file) Commit() error { return f.CommitAs(f.name) }

// CommitAs implements [target.File].
func (f *file) CommitAs(name string) error {
	if err := target.CheckName(name); err != nil {
		return fmt.Errorf("commit as %w", err)
	}
	if f.isClosed() {
		return fmt.Errorf("commit %s: %w", f.path, fs.ErrClosed)
	}
	err := f.Sync()
	if err == nil {
		err = f.do("check", 0, func(_ *conn, h *sftp.File) error {
			fi, err := h.Stat()
			if err == nil && fi.Size() != f.size.Load() {
				err = fmt.Errorf("it has %d bytes, %d were written", fi.Size(), f.size.Load())
			}
			return err
		})
	}
	if cerr := f.Abandon(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	to := path.Join(f.dir.path, name)
	if err := f.dir.link.do("commit", 0, func(c *conn) error { return rename(c.sftp, f.path, to) }); err != nil {
		return err
	}
	f.mu.Lock()
	f.committed = name
	f.mu.Unlock()
	return f.dir.link.do("sync directory", 0, func(c *conn) error { return syncDir(c.sftp, f.dir.path) })
}

// rename never replaces. It may come twice: the first time the answer was lost.
//
// SSH_FXP_RENAME is meant not to replace, and OpenSSH makes it so by link(2). Where
// a server cannot, posix-rename@openssh.com does it after a look.
func rename(c *sftp.Client, from, to string) error {
	err := c.Rename(from, to)
	if err == nil || isLost(err) {
		return err
	}
	_, there := c.Lstat(to)
	if errors.Is(err, fs.ErrNotExist) && there == nil {
		if _, gone := c.Lstat(from); errors.Is(gone, fs.ErrNotExist) {
			return nil // it was done before
		}
	}
	if there == nil {
		return &fs.PathError{Op: "rename to", Path: to, Err: fmt.Errorf("%w (the server says: %w)", fs.ErrExist, err)}
	}
	if _, ok := c.HasExtension("posix-rename@openssh.com"); ok && errors.Is(there, fs.ErrNotExist) {
		err = c.PosixRename(from, to)
	}
	if err != nil {
		return &fs.PathError{Op: "rename to", Path: to, Err: err}
	}
	return nil
}

// Abandon implements [target.File].
func (f *file) Abandon() error {
	f.mu.Lock()
	h, gen, was := f.handle, f.gen, f.closed
	f.closed = true
	f.mu.Unlock()
	if was {
		return nil
	}
	if c := f.dir.link.now(); c != nil && c.gen == gen { // else it went with its connection
		if err := c.within(f.dir.link.cfg.Timeout, h.Close); err != nil {
			return fmt.Errorf("close %s: %w", f.path, err)
		}
	}
	return nil
}

func (f *file) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// Size implements [target.File].
func (f *file) Size() int64 { return f.size.Load() }

// Name implements [target.File].
func (f *file) Name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.committed != "" {
		return f.committed
	}
	return f.name + target.Incomplete
}
