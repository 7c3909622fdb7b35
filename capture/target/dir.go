package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is a target that is a directory of a mounted file system.
type Dir struct {
	// Overwrite lets Create replace NAME.incomplete and Commit replace NAME.
	// It is set before the first Create.
	Overwrite bool

	path string
	dir  *os.File // held open: names are resolved in it, fsync goes to it
	gone *gone    // shared with its subdirectories and files
}

// GiveUpAfter says that the target is given up when an operation fails that took d or
// longer, but for want of room: all others then fail at once. It is for who has another
// place for the dump, and is called before the first use. Without it nothing is ever
// given up.
func (d *Dir) GiveUpAfter(t time.Duration) { d.gone.after = t }

var _ Target = (*Dir)(nil)

// NewDir returns the directory at path as a target. What is missing of the path
// is made, for the owner only (0700), and made durable. A directory that is
// there already keeps its mode.
func NewDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("target directory: %w", err)
	}
	if err := mkdirAll(path); err != nil {
		return nil, fmt.Errorf("target directory: %w", err)
	}
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("target directory: %w", err)
	}
	return &Dir{path: path, dir: d, gone: new(gone)}, nil
}

// mkdirAll is os.MkdirAll with every new name synced to the disk: a dump in a
// directory that a power cut undoes is no dump.
func mkdirAll(path string) error {
	switch fi, err := os.Stat(path); {
	case err == nil && fi.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(path)
	if err := mkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer d.Close()
	return syncDir(d)
}

// syncDir makes the names in a directory durable. Some file systems (FUSE, old
// NFS) know no fsync of a directory; there is nothing more to be had there.
func syncDir(d *os.File) error {
	err := d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// String is the directory's absolute path.
func (d *Dir) String() string { return d.path }

// Close closes the directory.
func (d *Dir) Close() error {
	if d.gone.keep(d.dir) {
		return nil
	}
	if err := d.dir.Close(); err != nil {
		return fmt.Errorf("target directory: %w", err)
	}
	return nil
}

// Free is f_bavail of statfs(2): the reserve of the superuser is not counted,
// although a capture, which runs as root, may use it.
func (d *Dir) Free() (uint64, error) {
	var n uint64
	err := d.gone.do(func() (err error) { n, err = free(d.dir); return err })
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", d.path, err)
	}
	return n, nil
}

func free(f *os.File) (uint64, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(int(f.Fd()), &st) }); err != nil {
		return 0, err
	}
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	return st.Bavail * unit, nil
}

// Create makes NAME.incomplete with mode 0600. It never follows a symbolic link
// and never takes over a file of somebody else's.
func (d *Dir) Create(name string) (File, error) {
	if err := CheckName(name); err != nil {
		return nil, fmt.Errorf("create %w", err)
	}
	var f File
	err := d.gone.do(func() (err error) { f, err = d.create(name); return err })
	return f, err
}

func (d *Dir) create(name string) (File, error) {
	fd := int(d.dir.Fd())
	if !d.Overwrite {
		if err := d.absent(name); err != nil { // found now rather than at the end of a long dump
			return nil, err
		}
	} else if err := unix.Unlinkat(fd, name+Incomplete, 0); err != nil && err != unix.ENOENT {
		return nil, d.errorf("create", name+Incomplete, err)
	}
	var f int
	err := retry(func() (err error) {
		f, err = unix.Openat(fd, name+Incomplete,
			unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, d.errorf("create", name+Incomplete, err)
	}
	return &file{
		f:    os.NewFile(uintptr(f), filepath.Join(d.path, name+Incomplete)),
		dir:  d,
		name: name,
	}, nil
}

// Sub makes a directory with mode 0700 and makes its name durable. With
// Overwrite, a directory that is there already is taken as it is.
func (d *Dir) Sub(name string) (Target, error) {
	if err := CheckName(name); err != nil {
		return nil, fmt.Errorf("make directory %w", err)
	}
	var sub Target
	err := d.gone.do(func() (err error) { sub, err = d.sub(name); return err })
	return sub, err
}

func (d *Dir) sub(name string) (Target, error) {
	fd := int(d.dir.Fd())
	if err := unix.Mkdirat(fd, name, 0o700); err != nil && !(d.Overwrite && err == unix.EEXIST) {
		return nil, d.errorf("make directory", name, err)
	}
	if err := syncDir(d.dir); err != nil {
		return nil, d.errorf("make directory", name, err)
	}
	sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, d.errorf("open directory", name, err)
	}
	path := filepath.Join(d.path, name)
	return &Dir{Overwrite: d.Overwrite, path: path, dir: os.NewFile(uintptr(sub), path), gone: d.gone}, nil
}

// absent returns an error that wraps fs.ErrExist when name is there.
func (d *Dir) absent(name string) error {
	var st unix.Stat_t
	switch err := unix.Fstatat(int(d.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return d.errorf("create", name, unix.EEXIST)
	case unix.ENOENT:
		return nil
	default:
		return d.errorf("create", name, err)
	}
}

// rename gives an unfinished file its name. Without Overwrite it never replaces.
func (d *Dir) rename(from, name string) error {
	fd := int(d.dir.Fd())
	if d.Overwrite {
		return d.errorf("rename to", name, unix.Renameat(fd, from, fd, name))
	}
	err := unix.Renameat2(fd, from, fd, name, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS { // the file system or kernel does not know the flag
		if err := d.absent(name); err != nil {
			return err
		}
		err = unix.Renameat(fd, from, fd, name)
	}
	return d.errorf("rename to", name, err)
}

func (d *Dir) errorf(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

// retry repeats a system call that a signal cut short.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
