package sshtarget

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
	"syscall"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/pkg/sftp"
)

// dir is a directory that SFTP reaches.
type dir struct {
	link   *link
	path   string
	server *server
	closed atomic.Bool
}

// server is what turned out that a server cannot do.
type server struct{ noSync, noModes atomic.Bool }

var _ target.Warner = (*dir)(nil)

func newDir(l *link, where string) (*dir, error) {
	d := &dir{link: l, path: path.Clean(where), server: new(server)}
	err := l.do("make directory", 0, func(c *conn) error {
		_, has := c.sftp.HasExtension("fsync@openssh.com")
		d.server.noSync.Store(!has)
		return d.server.mkdirAll(c.sftp, d.path)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// mkdirAll makes what is missing of a directory, for the owner only.
func (s *server) mkdirAll(c *sftp.Client, where string) error {
	switch fi, err := c.Stat(where); {
	case err == nil && fi.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: where, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return &fs.PathError{Op: "stat", Path: where, Err: err}
	}
	if parent := path.Dir(where); parent != where {
		if err := s.mkdirAll(c, parent); err != nil {
			return err
		}
	}
	return s.mkdir(c, where)
}

func (s *server) mkdir(c *sftp.Client, where string) error {
	if err := c.Mkdir(where); err != nil {
		return &fs.PathError{Op: "mkdir", Path: where, Err: reason(c, where, err, 0)}
	}
	// The protocol takes a mode with the request, the library does not. Nothing is
	// in the directory yet.
	if err := s.private(func() error { return c.Chmod(where, 0o700) }); err != nil {
		return &fs.PathError{Op: "chmod", Path: where, Err: err}
	}
	return syncDir(c, path.Dir(where))
}

// private sets permissions. A server that will not is no reason to lose a dump,
// but one to warn.
func (s *server) private(chmod func() error) error {
	err := chmod()
	if err == nil || isLost(err) {
		return err
	}
	s.noModes.Store(true)
	return nil
}

// syncDir makes the names in a directory durable where the server can: opening a
// directory is what open(2) permits and the protocol does not mention.
func syncDir(c *sftp.Client, where string) error {
	if _, ok := c.HasExtension("fsync@openssh.com"); !ok {
		return nil
	}
	d, err := c.Open(where)
	if err != nil {
		if isLost(err) {
			return err
		}
		return nil
	}
	defer d.Close()
	if err := d.Sync(); err != nil && isLost(err) {
		return err
	}
	return nil
}

// String is an address as sftp(1) takes it.
func (d *dir) String() string { return fmt.Sprintf("sftp://%s/%s", d.link, d.path) }

// Free is f_bavail by statvfs@openssh.com.
func (d *dir) Free() (uint64, error) { return d.link.free(d.path) }

func (l *link) free(where string) (n uint64, err error) {
	err = l.do("free space", 0, func(c *conn) error {
		if _, ok := c.sftp.HasExtension("statvfs@openssh.com"); !ok {
			return fmt.Errorf("the server does not tell: %w", errors.ErrUnsupported)
		}
		st, err := c.sftp.StatVFS(where)
		if err != nil {
			return &fs.PathError{Op: "statvfs", Path: where, Err: err}
		}
		n = st.Bavail * st.Frsize
		return nil
	})
	return n, err
}

// Create makes NAME.incomplete with mode 0600.
func (d *dir) Create(name string) (target.File, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("create %w", err)
	}
	f := &file{dir: d, name: name, path: path.Join(d.path, name+target.Incomplete)}
	err := d.link.do("create", 0, func(c *conn) error {
		if err := absent(c.sftp, path.Join(d.path, name)); err != nil {
			return err
		}
		h, err := c.sftp.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return &fs.PathError{Op: "open", Path: f.path, Err: reason(c.sftp, f.path, err, 0)}
		}
		if err := d.server.private(func() error { return h.Chmod(0o600) }); err != nil { // before there is anything in it
			return &fs.PathError{Op: "chmod", Path: f.path, Err: err}
		}
		f.handle, f.gen = h, c.gen
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Sub makes a directory with mode 0700.
func (d *dir) Sub(name string) (target.Target, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("make directory %w", err)
	}
	sub := &dir{link: d.link, path: path.Join(d.path, name), server: d.server}
	if err := d.link.do("make directory", 0, func(c *conn) error { return d.server.mkdir(c.sftp, sub.path) }); err != nil {
		return nil, err
	}
	d.link.hold()
	return sub, nil
}

// Close ends the connection when it is the last directory's.
func (d *dir) Close() error {
	if d.closed.CompareAndSwap(false, true) {
		d.link.release()
	}
	return nil
}

// Warnings implements [target.Warner].
func (d *dir) Warnings() []string {
	all := d.link.warnings()
	if d.server.noModes.Load() {
		all = append(all, "the server does not set permissions: others there may be able to read the dump")
	}
	if d.server.noSync.Load() {
		all = append(all, "the server cannot sync files (it has no fsync@openssh.com): what it took last may not outlive a power cut there")
	}
	return all
}

func (l *link) warnings() []string {
	switch n := l.outages(); n {
	case 0:
		return nil
	case 1:
		return []string{"the connection to " + l.String() + " was lost once, and made again"}
	default:
		return []string{fmt.Sprintf("the connection to %s was lost %d times, and made again", l, n)}
	}
}

// absent returns an error that wraps fs.ErrExist when where is there.
func absent(c *sftp.Client, where string) error {
	switch _, err := c.Lstat(where); {
	case err == nil:
		return &fs.PathError{Op: "create", Path: where, Err: fs.ErrExist}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return &fs.PathError{Op: "lstat", Path: where, Err: err}
	}
}

// reason finds out what a server means by SSH_FX_FAILURE, which is all that the
// protocol has for most errors: that where is there already, or the file system
// has no room for n bytes, or is read-only.
func reason(c *sftp.Client, where string, err error, n int) error {
	var status *sftp.StatusError
	if !errors.As(err, &status) || status.FxCode() != sftp.ErrSSHFxFailure {
		return err
	}
	if n == 0 {
		if _, lerr := c.Lstat(where); lerr == nil {
			return fmt.Errorf("%w (the server says: %w)", fs.ErrExist, err)
		}
	}
	if _, ok := c.HasExtension("statvfs@openssh.com"); !ok {
		return err
	}
	const slack = 64 << 10 // what a file system needs beside the data
	st, serr := c.StatVFS(path.Dir(where))
	switch {
	case serr != nil:
	case st.Flag&1 != 0: // SSH2_FXE_STATVFS_ST_RDONLY
		return fmt.Errorf("%w (the server says: %w)", syscall.EROFS, err)
	case st.Bavail*st.Frsize < uint64(n)+slack, st.Favail == 0 && st.Files > 0 && n == 0:
		return fmt.Errorf("%w: %d bytes are free there (the server says: %w)", syscall.ENOSPC, st.Bavail*st.Frsize, err)
	}
	return err
}
