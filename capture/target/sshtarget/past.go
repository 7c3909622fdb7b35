package sshtarget

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/pkg/sftp"
)

// Over SFTP a directory can be listed; a shell alone is not asked to: what ls(1)
// prints cannot be told apart from names.
var (
	_ target.Past  = (*dir)(nil)
	_ target.Annex = (*dir)(nil)
)

// errMany says that a directory is no place for dumps.
var errMany = fmt.Errorf("more than %d entries", target.MaxEntries)

func (d *dir) list(name string) (all []fs.FileInfo, err error) {
	where := path.Join(d.path, name)
	err = d.link.do("list "+where, d.link.cfg.Timeout, func(c *conn) error {
		if fi, err := c.sftp.Lstat(where); err != nil {
			return &fs.PathError{Op: "lstat", Path: where, Err: err}
		} else if name != "" && !fi.IsDir() {
			return &fs.PathError{Op: "list", Path: where, Err: errors.New("not a directory")}
		}
		var err error
		if all, err = c.sftp.ReadDir(where); err == nil && len(all) > target.MaxEntries {
			err = errMany
		}
		return err
	})
	return all, err
}

// Dirs implements [target.Past].
func (d *dir) Dirs() ([]string, error) {
	all, err := d.list("")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, fi := range all {
		if fi.IsDir() {
			names = append(names, fi.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Files implements [target.Past].
func (d *dir) Files(name string) ([]target.Entry, error) {
	if err := target.CheckEntry(name); err != nil {
		return nil, fmt.Errorf("list %w", err)
	}
	all, err := d.list(name)
	if err != nil {
		return nil, err
	}
	var files []target.Entry
	for _, fi := range all {
		files = append(files, target.Entry{Name: fi.Name(), Bytes: fi.Size(), Plain: fi.Mode().IsRegular()})
	}
	return files, nil
}

// ReadFile implements [target.Past].
func (d *dir) ReadFile(name, file string, max int64) (text []byte, err error) {
	if err := errors.Join(target.CheckEntry(name), target.CheckEntry(file)); err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	where := path.Join(d.path, name, file)
	err = d.link.do("read "+where, moving(int(max)), func(c *conn) error {
		if fi, err := c.sftp.Lstat(where); err != nil {
			return &fs.PathError{Op: "lstat", Path: where, Err: err}
		} else if !fi.Mode().IsRegular() || fi.Size() > max {
			return &fs.PathError{Op: "read", Path: where, Err: fmt.Errorf("not a plain file of at most %d bytes", max)}
		}
		f, err := c.sftp.Open(where)
		if err != nil {
			return err
		}
		defer f.Close()
		text, err = io.ReadAll(io.LimitReader(f, max))
		return err
	})
	return text, err
}

// WriteFile implements [target.Annex].
func (d *dir) WriteFile(name, file string, text []byte) error {
	if err := target.CheckEntry(name); err != nil {
		return fmt.Errorf("write %w", err)
	}
	sub := &dir{link: d.link, path: path.Join(d.path, name), server: d.server} // not closed: it does not hold the link
	return target.Write(sub, file, text)
}

// Remove implements [target.Past]. It may be done twice, where an answer was lost.
func (d *dir) Remove(name string, files []string) error {
	if err := target.CheckEntry(name); err != nil {
		return fmt.Errorf("remove %w", err)
	}
	where := path.Join(d.path, name)
	remove := func(c *conn, op func(c *sftp.Client, path string) error, at string) error {
		if err := op(c.sftp, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &fs.PathError{Op: "remove", Path: at, Err: err}
		}
		return nil
	}
	for _, f := range files {
		if err := target.CheckEntry(f); err != nil {
			return fmt.Errorf("remove %w", err)
		}
		if err := d.link.do("remove", 0, func(c *conn) error {
			return remove(c, (*sftp.Client).Remove, path.Join(where, f))
		}); err != nil {
			return err
		}
	}
	return d.link.do("remove", 0, func(c *conn) error {
		if err := remove(c, (*sftp.Client).RemoveDirectory, where); err != nil {
			return err
		}
		return syncDir(c.sftp, d.path)
	})
}
