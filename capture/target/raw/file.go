package raw

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/gokdump/gokdump/capture/target"
)

// file is a file on its way to the device.
type file struct {
	d            *device
	dir          string
	key          string // its name in the table
	name, wished string

	pos int64 // where the next Write goes

	mu        sync.Mutex // over all below; taken before the device's
	size      int64
	chunks    []int64 // the file's chunks, in its order
	written   spans
	closed    bool
	committed bool
	lost      error // what a write back reported; the kernel tells it only once
}

var _ interface {
	target.File
	Allocate(off, n int64) error
	Free() (uint64, error)
} = (*file)(nil)

// Write implements [target.File].
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// WriteAt implements [target.File].
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.pieces(off, int64(len(p)), func(at, from, to int64) error {
		_, err := f.d.f.WriteAt(p[from:to], at)
		return err
	})
	f.mu.Lock()
	f.written.add(off, off+n)
	f.size = max(f.size, off+n)
	f.mu.Unlock()
	if err == nil {
		if err = f.d.behind.Wrote(f.d.f, int(n)); err != nil {
			f.mu.Lock()
			f.lost = err
			f.mu.Unlock()
		}
	}
	return int(n), f.wrap("write", err)
}

// pieces takes the chunks for n bytes at off and calls do for each part that lies in
// one chunk: at is its place on the device, from and to its place in the n bytes. It
// returns how many bytes are done.
func (f *file) pieces(off, n int64, do func(at, from, to int64) error) (int64, error) {
	chunk := f.d.s.chunk
	for done := int64(0); done < n; {
		c, err := f.chunkAt((off + done) / chunk)
		if err != nil {
			return done, err
		}
		in := (off + done) % chunk
		part := min(chunk-in, n-done)
		if err := do(dataStart+c*chunk+in, done, done+part); err != nil {
			return done, err
		}
		done += part
	}
	return n, nil
}

// chunkAt gives the file's chunk i, and takes all up to it that it has not.
func (f *file) chunkAt(i int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	for int64(len(f.chunks)) <= i {
		near := int64(0)
		if n := len(f.chunks); n > 0 {
			near = f.chunks[n-1] + 1
		}
		c, err := f.d.take(near)
		if err != nil {
			return 0, err
		}
		f.chunks = append(f.chunks, c)
	}
	return f.chunks[i], nil
}

// ReadAt implements [target.File].
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return 0, f.wrap("read", fs.ErrClosed)
	}
	size, chunks, holes := f.size, f.chunks, f.written.holes(off, off+int64(len(p)))
	f.mu.Unlock()
	if off < 0 || off >= size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), size-off)
	chunk := f.d.s.chunk
	for done := int64(0); done < n; {
		i, in := (off+done)/chunk, (off+done)%chunk
		part := min(chunk-in, n-done)
		if i < int64(len(chunks)) {
			if _, err := f.d.f.ReadAt(p[done:done+part], dataStart+chunks[i]*chunk+in); err != nil {
				return int(done), f.wrap("read", err)
			}
		}
		done += part
	}
	for _, h := range holes {
		clear(p[min(h[0]-off, n):min(h[1]-off, n)])
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Allocate takes the room of n bytes at off; they read as zeros.
func (f *file) Allocate(off, n int64) error {
	_, err := f.pieces(off, n, func(int64, int64, int64) error { return nil })
	if err != nil {
		return f.wrap("allocate", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = max(f.size, off+n)
	return nil
}

// Free is the room on the device, in bytes.
func (f *file) Free() (uint64, error) { return f.d.free(), nil }

// Truncate implements [target.File].
func (f *file) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.wrap("truncate", fs.ErrClosed)
	}
	f.size = size
	f.written.cut(size)
	for chunk := f.d.s.chunk; len(f.chunks) > 0 && int64(len(f.chunks)-1)*chunk >= size; {
		last := len(f.chunks) - 1
		f.d.give(f.chunks[last])
		f.chunks = f.chunks[:last]
	}
	return nil
}

// Sync implements [target.File]: the data, then the table with the file's place.
func (f *file) Sync() error {
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return f.wrap("sync", fs.ErrClosed)
	}
	return f.wrap("sync", f.settle(f.key, false, nil))
}

// Commit implements [target.File].
func (f *file) Commit() error { return f.CommitAs(f.wished) }

// CommitAs implements [target.File].
func (f *file) CommitAs(name string) error {
	if err := target.CheckName(name); err != nil {
		return fmt.Errorf("commit as %w", err)
	}
	full := path.Join(f.dir, name)
	err := f.commit(full)
	if !f.close() && err == nil {
		err = fs.ErrClosed
	}
	if err != nil {
		return f.wrap("commit", err)
	}
	f.mu.Lock()
	f.name, f.key, f.committed = name, full, true
	f.mu.Unlock()
	return nil
}

func (f *file) commit(full string) error {
	if err := f.fill(); err != nil {
		return err
	}
	f.d.mu.Lock()
	taken := full != f.key && f.d.taken(full)
	f.d.mu.Unlock()
	if taken {
		// The data is kept under the name that it has.
		return errors.Join(fs.ErrExist, f.settle(f.key, false, nil))
	}
	sum, err := f.sum()
	if err != nil {
		return err
	}
	return f.settle(full, true, sum)
}

// fill writes zeros where nothing was written.
func (f *file) fill() error {
	f.mu.Lock()
	holes := f.written.holes(0, f.size)
	f.mu.Unlock()
	zero := make([]byte, minChunk)
	for _, h := range holes {
		for off := h[0]; off < h[1]; off += int64(len(zero)) {
			if _, err := f.WriteAt(zero[:min(int64(len(zero)), h[1]-off)], off); err != nil {
				return err
			}
		}
	}
	return nil
}

// sum is the checksum of a file that is not too large for one, else nil.
func (f *file) sum() (*uint32, error) {
	if f.Size() > sumMax {
		return nil, nil
	}
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return nil, err
	}
	sum := h.Sum32()
	return &sum, nil
}

// settle brings the data to the disk and then says in the table where it is.
func (f *file) settle(key string, complete bool, sum *uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost != nil {
		return f.lost
	}
	if err := f.d.f.Sync(); err != nil {
		f.lost = err
		return err
	}
	var extents [][2]int64
	for _, c := range f.chunks {
		if n := len(extents); n > 0 && extents[n-1][0]+extents[n-1][1] == c {
			extents[n-1][1]++
		} else {
			extents = append(extents, [2]int64{c, 1})
		}
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	e := entry{Name: key, Complete: complete, Time: f.d.now().Unix(), Size: min(f.size, int64(len(f.chunks))*f.d.s.chunk), Sum: sum, Extents: extents}
	return f.d.change(func(t *table) {
		i := slices.IndexFunc(t.Files, func(o entry) bool { return o.Name == f.key })
		t.Files[i] = e
	})
}

// Abandon implements [target.File].
func (f *file) Abandon() error {
	f.mu.Lock()
	ended := f.closed
	f.mu.Unlock()
	if ended {
		return nil
	}
	err := f.settle(f.key, false, nil)
	f.close()
	return f.wrap("abandon", err)
}

// close tells whether the caller is the one that ends the file.
func (f *file) close() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.closed
	f.closed = true
	return !was
}

// Size implements [target.File].
func (f *file) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Name implements [target.File].
func (f *file) Name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.committed {
		return f.name
	}
	return f.wished + target.Incomplete
}

func (f *file) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return f.d.errorf(op, path.Join(f.dir, f.wished), err)
}
