package s3target

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"syscall"

	"github.com/gokdump/gokdump/capture/target"
)

// file is a File of a dir.
type file struct {
	dir  *dir
	name string

	mu        sync.Mutex
	changed   *sync.Cond // an upload of a part has ended
	partSize  int64
	maxParts  int64
	pos, size int64
	open      map[int]*part
	done      map[int]sent // parts that the store has, or gets
	flying    int          // parts under way
	free      [][]byte     // buffers of parts that were sent
	up        *upload      // nil until the first part is full
	err       error        // that ended it
	closed    bool
	committed string
	proof     string
}

var _ target.Prover = (*file)(nil)

func newFile(d *dir, name string) *file {
	f := &file{dir: d, name: name, open: map[int]*part{}, done: map[int]sent{}}
	f.changed = sync.NewCond(&f.mu)
	f.partSize, f.maxParts = min(8<<20, d.c.cfg.Memory/buffers), maxParts
	if p := d.c.cfg.Presigned; p != nil {
		f.maxParts = max(1, int64(len(p.Objects[d.prefix+name].Parts)))
	}
	return f
}

// Once implements dump.OnceOutput: parts are as large as the file may need them. A
// little, at the start, may have been written before.
func (f *file) Once(head, most int64) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false, f.errorf("begin", fs.ErrClosed)
	}
	if q := f.open[0]; len(f.done) > 0 || len(f.open) > 1 || len(f.open) == 1 && (q == nil || len(q.data) > minPart) {
		return false, f.errorf("begin", errors.New("too much was written already"))
	}
	const unit = 64 << 10
	need := (most/f.maxParts/unit + 1) * unit
	f.partSize = min(max(minPart, need), f.dir.c.cfg.Memory/buffers)
	return true, nil
}

func (f *file) errorf(op string, err error) error { return f.dir.errorf(op, f.name, err) }

// Write implements [target.File].
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// WriteAt implements [target.File]. It waits while all memory is with parts under
// way. What was sent already cannot be written again: that wraps
// errors.ErrUnsupported.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return 0, f.errorf("write", fs.ErrClosed)
	case off < 0:
		return 0, f.errorf("write", fmt.Errorf("%d bytes at %d", len(p), off))
	case off > f.maxParts*f.partSize-int64(len(p)):
		return 0, f.errorf("write", fmt.Errorf("%d bytes at %d: %w: an upload of %d parts of %d bytes has no more", len(p), off, syscall.EFBIG, f.maxParts, f.partSize))
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		index, in := int(at/f.partSize), at%f.partSize
		q, err := f.part(index)
		if err != nil {
			return done, err
		}
		n := min(int64(len(p)-done), f.partSize-in)
		q.put(p[done:done+int(n)], in)
		done += int(n)
		f.size = max(f.size, off+int64(done))
		if q.full(f.partSize) {
			f.send(q)
		}
	}
	return len(p), nil
}

// part gives an open part, for which it may have to wait.
func (f *file) part(index int) (*part, error) {
	most := int(f.dir.c.cfg.Memory / f.partSize)
	for {
		if f.err != nil {
			return nil, f.err
		}
		if _, ok := f.done[index]; ok {
			return nil, f.errorf("write", fmt.Errorf("part %d was sent already: %w", index+1, errors.ErrUnsupported))
		}
		if q := f.open[index]; q != nil {
			return q, nil
		}
		if len(f.open)+f.flying < most {
			break
		}
		if f.flying == 0 {
			return nil, f.errorf("write", fmt.Errorf("%d parts of %d bytes are begun and none is full: %w", len(f.open), f.partSize, errors.ErrUnsupported))
		}
		f.changed.Wait()
	}
	q := &part{index: index, size: f.partSize}
	if n := len(f.free); n > 0 {
		q.data, f.free = f.free[n-1][:0], f.free[:n-1]
	}
	f.open[index] = q
	return q, nil
}

// send sends a part, in the background.
func (f *file) send(q *part) {
	delete(f.open, q.index)
	f.done[q.index] = sent{}
	f.flying++
	go func() {
		s, err := f.upload(q)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.flying--
		f.free = append(f.free, q.data)
		if err != nil && f.err == nil {
			f.err = f.errorf("send", err)
		}
		if _, wanted := f.done[q.index]; wanted {
			f.done[q.index] = s
		}
		f.changed.Broadcast()
	}()
}

// upload sends a part; the first one begins the upload.
func (f *file) upload(q *part) (sent, error) {
	f.mu.Lock()
	u, err := f.up, f.err
	if u == nil && err == nil {
		if u, err = f.dir.c.begin(f.dir.prefix+f.name+target.Incomplete, true); err == nil {
			f.up = u
		}
	}
	f.mu.Unlock()
	if err != nil {
		return sent{}, err
	}
	return u.part(q.index+1, q.data)
}

// ReadAt gives what was not sent yet; the rest wraps errors.ErrUnsupported.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, f.errorf("read", fs.ErrClosed)
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= f.size {
			return done, io.EOF
		}
		index, in := int(at/f.partSize), at%f.partSize
		if _, ok := f.done[index]; ok {
			return done, f.errorf("read", fmt.Errorf("part %d was sent already: %w", index+1, errors.ErrUnsupported))
		}
		n := min(int64(len(p)-done), f.partSize-in, f.size-at)
		clear(p[done : done+int(n)])
		if q := f.open[index]; q != nil && in < int64(len(q.data)) {
			copy(p[done:done+int(n)], q.data[in:])
		}
		done += int(n)
	}
	return done, nil
}

// Truncate implements [target.File]. Parts that were sent can be left out, but not
// be made shorter.
func (f *file) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.errorf("truncate", fs.ErrClosed)
	}
	if size >= f.size {
		if size > f.maxParts*f.partSize {
			return f.errorf("truncate", syscall.EFBIG)
		}
		f.size = size
		return nil
	}
	last, in := int(size/f.partSize), size%f.partSize
	if _, ok := f.done[last]; ok && in > 0 {
		return f.errorf("truncate", fmt.Errorf("part %d was sent already: %w", last+1, errors.ErrUnsupported))
	}
	for i, q := range f.open {
		if i > last || i == last && in == 0 {
			f.free = append(f.free, q.data)
			delete(f.open, i)
		} else if i == last {
			q.cut(in)
		}
	}
	for i := range f.done {
		if i > last || i == last && in == 0 {
			delete(f.done, i)
		}
	}
	f.size = size
	return nil
}

// Sync waits until the store has all full parts. The others are sent by Commit.
func (f *file) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.errorf("sync", fs.ErrClosed)
	}
	return f.settle()
}

// settle waits for what is under way.
func (f *file) settle() error {
	for f.flying > 0 {
		f.changed.Wait()
	}
	return f.err
}

// Proof implements [target.Prover].
func (f *file) Proof() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.proof
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
	if f.committed != "" {
		return f.committed
	}
	return f.name + target.Incomplete
}
