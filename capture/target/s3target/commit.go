package s3target

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gokdump/gokdump/capture/target"
)

// Commit implements [target.File].
func (f *file) Commit() error { return f.CommitAs(f.name) }

// CommitAs makes the object. The key of an upload is that of Create and cannot be
// changed: a large file that gets another name is copied, inside the store, and
// the first object removed.
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
	if f.up == nil && name != f.name { // the name can still be chosen
		u, err := f.dir.c.begin(f.dir.prefix+name, true)
		if err != nil {
			return err
		}
		f.up = u
	}
	parts, err := f.rest()
	if err != nil {
		return err
	}
	key := f.dir.prefix + name
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
		return fmt.Errorf("it is whole as %s, but cannot be given the name %s: %w", f.up.key, name, err)
	}
	if err := f.dir.c.remove(f.up.key); err != nil {
		return fmt.Errorf("it is there as %s and, wrongly, as %s: %w", name, f.up.key, err)
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
