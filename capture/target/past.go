package target

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxEntries bounds a directory that is listed; more is an error.
const MaxEntries = 100_000

// Past is a target that can tell what earlier captures left, and remove it. Not
// every target can: a pipe to another machine knows nothing of the day before. A
// target of a kind that can, but that turns out not to, gives errors that wrap
// errors.ErrUnsupported. Nothing here ever follows a symbolic link, except that
// another may be put in the place of a file on a server between two requests.
type Past interface {
	Target
	// Dirs are the names of the directories in the target, sorted.
	Dirs() ([]string, error)
	// Files are the entries of the directory DIR, in any order.
	Files(dir string) ([]Entry, error)
	// ReadFile gives the plain file NAME of the directory DIR, which must have at
	// most max bytes.
	ReadFile(dir, name string, max int64) ([]byte, error)
	// Remove removes the plain files names of the directory DIR, in that order,
	// and then DIR, which must be empty by then.
	Remove(dir string, names []string) error
}

// Annex is a target that takes a file beside those of a capture that is over.
type Annex interface {
	// WriteFile makes the plain file NAME of the directory DIR, durable and with
	// mode 0600. One that is there already is an error that wraps fs.ErrExist.
	WriteFile(dir, name string, text []byte) error
}

// CheckEntry returns an error that wraps [ErrName] for a name that is not that of
// one entry of a directory.
func CheckEntry(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

// Write makes a whole small file in t.
func Write(t Target, name string, text []byte) error {
	f, err := t.Create(name)
	if err != nil {
		return err
	}
	defer f.Abandon()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Commit()
}

// Entry is one entry of a directory.
type Entry struct {
	Name  string
	Bytes int64
	Plain bool // a plain file: no directory, link or device
}

var (
	_ Past  = (*Dir)(nil)
	_ Annex = (*Dir)(nil)
)

// Dirs implements [Past].
func (d *Dir) Dirs() ([]string, error) {
	entries, err := d.list(".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// list reads the directory name. The open one is not used: reading it moves it.
func (d *Dir) list(name string) (entries []fs.DirEntry, err error) {
	err = d.gone.do(func() error { entries, err = d.listNow(name); return err })
	return entries, err
}

func (d *Dir) listNow(name string) ([]fs.DirEntry, error) {
	sub, err := d.openDir(name)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	entries, err := sub.ReadDir(MaxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, d.errorf("list", name, err)
	}
	if len(entries) > MaxEntries {
		return nil, d.errorf("list", name, fmt.Errorf("more than %d entries", MaxEntries))
	}
	return entries, nil
}

func (d *Dir) openDir(name string) (*os.File, error) {
	if err := CheckEntry(name); err != nil && name != "." {
		return nil, fmt.Errorf("open directory %w", err)
	}
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(int(d.dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, d.errorf("open directory", name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// Files implements [Past].
func (d *Dir) Files(dir string) ([]Entry, error) {
	if err := CheckEntry(dir); err != nil {
		return nil, fmt.Errorf("list %w", err)
	}
	entries, err := d.list(dir)
	if err != nil {
		return nil, err
	}
	var files []Entry
	for _, e := range entries {
		f := Entry{Name: e.Name(), Plain: e.Type().IsRegular()}
		if fi, err := e.Info(); err == nil { // lstat(2)
			f.Bytes = fi.Size()
		}
		files = append(files, f)
	}
	return files, nil
}

// ReadFile implements [Past].
func (d *Dir) ReadFile(dir, name string, max int64) ([]byte, error) {
	if err := errors.Join(CheckEntry(dir), CheckEntry(name)); err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	sub, err := d.openDir(dir)
	if err != nil {
		return nil, err
	}
	defer sub.Close()
	path := filepath.Join(dir, name)
	// Not blocking: whoever may write here may have put a pipe.
	fd, err := unix.Openat(int(sub.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, d.errorf("read", path, err)
	}
	f := os.NewFile(uintptr(fd), filepath.Join(d.path, path))
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, d.errorf("read", path, errors.Join(err, errors.New("not a plain file")))
	}
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > max {
		return nil, d.errorf("read", path, fmt.Errorf("more than %d bytes", max))
	}
	return text, nil
}

// WriteFile implements [Annex].
func (d *Dir) WriteFile(dir, name string, text []byte) error {
	sub, err := d.openDir(dir)
	if err != nil {
		return err
	}
	t := &Dir{path: sub.Name(), dir: sub, gone: d.gone}
	defer t.Close()
	return Write(t, name, text)
}

// Remove implements [Past].
func (d *Dir) Remove(dir string, names []string) error {
	if err := CheckEntry(dir); err != nil {
		return fmt.Errorf("remove %w", err)
	}
	sub, err := d.openDir(dir)
	if err != nil {
		return err
	}
	defer sub.Close()
	for _, name := range names {
		if err := CheckEntry(name); err != nil {
			return fmt.Errorf("remove %w", err)
		}
		if err := unix.Unlinkat(int(sub.Fd()), name, 0); err != nil && err != unix.ENOENT {
			return d.errorf("remove", filepath.Join(dir, name), err)
		}
	}
	if err := unix.Unlinkat(int(d.dir.Fd()), dir, unix.AT_REMOVEDIR); err != nil {
		return d.errorf("remove", dir, err)
	}
	if err := syncDir(d.dir); err != nil {
		return d.errorf("remove", dir, err)
	}
	return nil
}
