package s3target

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gokdump/gokdump/capture/target"
)

// Commit implements [target.File].
func (f *file) Commit() error { return f.CommitAs(f.name) }

// CommitAs makes the object. The key of an upload was given when it began, when
// nobody knew whether the dump would be whole: it is NAME.incomplete, which is
// copied to its name, inside the store, and removed. So whatever breaks, no name
// that says whole ever stands for what is not.
func (f *file) CommitAs(name string) error {
	if err := target.CheckName(name); err != nil {
		return fmt.Errorf("commit as %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.errorf("commit", fs.ErrClosed)
	}
	f.closed = true
	defer f.dir.names.drop(f.dir.prefix + f.name)
	err := f.settle()
	if err == nil {
		err = f.finish(name)
	}
	if err == nil {
		f.committed = name
		return nil
	}
	return errors.Join(fmt.Errorf("commit: %w", f.errorf("make object", err)), f.abort())
}

func (f *file) finish(name string) error {
	if f.up == nil && f.size <= f.partSize { // small: one request
		q := f.open[0]
		if q == nil {
			q = &part{size: f.partSize}
		}
		q.grow(f.size)
		if err := f.dir.c.put(f.dir.prefix+name, q.data[:f.size]); err != nil {
			return err
		}
		f.proof = "the store's check of the object's checksum"
		return nil
	}
	key := f.dir.prefix + name
	if f.up == nil && f.dir.c.cfg.Presigned == nil { // nothing was sent: the name can still be chosen
		u, err := f.dir.c.begin(key, true)
		if err != nil {
			return err
		}
		f.up = u
	}
	parts, err := f.rest()
	if err != nil {
		return err
	}
	if key != f.up.key {
		if _, err := f.dir.c.head(key); err == nil {
			return errTaken
		}
	}
	if err := f.up.complete(parts); err != nil {
		return err
	}
	f.proof = "the store's check of the checksums of its parts"
	if key == f.up.key {
		return nil
	}
	if err := f.dir.c.copy(f.up.key, key, f.size); err != nil {
		if errors.Is(err, errDenied) {
			err = fmt.Errorf("%w: for that the key needs s3:GetObject and s3:DeleteObject on what ends in %s", err, target.Incomplete)
		}
		return fmt.Errorf("all of it is there as %s, but cannot be given the name %s: %w", f.up.key, name, err)
	}
	if err := f.dir.c.remove(f.up.key); err != nil { // the file itself is as it should be
		f.dir.c.warn("%s is left over beside %s, and can be removed: %v", f.up.key, name, err)
	}
	return nil
}

// rest sends what was not full, the first part last, and gives all parts.
func (f *file) rest() ([]sent, error) {
	n := int((f.size + f.partSize - 1) / f.partSize)
	for i := n - 1; i >= 0; i-- {
		if _, ok := f.done[i]; ok {
			continue
		}
		if i == 0 { // whatever breaks before: there is no start of a dump
			if err := f.settle(); err != nil {
				return nil, err
			}
		}
		q := f.open[i]
		if q == nil {
			for len(f.open)+f.flying >= buffers && f.flying > 0 {
				f.changed.Wait()
			}
			q = &part{index: i, size: f.partSize}
		}
		q.grow(min(f.partSize, f.size-int64(i)*f.partSize))
		f.send(q)
	}
	if err := f.settle(); err != nil {
		return nil, err
	}
	parts := make([]sent, n)
	for i := range parts {
		parts[i] = f.done[i]
	}
	return parts, nil
}

// Abandon implements [target.File]. Nothing is left.
func (f *file) Abandon() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	defer f.dir.names.drop(f.dir.prefix + f.name)
	f.settle()
	return f.abort()
}

// abort gives the upload up.
func (f *file) abort() error {
	f.open, f.free = nil, nil
	if f.up == nil {
		return nil
	}
	if err := f.up.abort(); err != nil {
		return f.errorf("abort upload", err)
	}
	return nil
}
