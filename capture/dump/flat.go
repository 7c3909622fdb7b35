package dump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/gokdump/gokdump/capture/vmcore/flat"
)

// Flat is an [Output] that turns what is written at random into a flattened
// stream, in bounded memory. It cannot be read back; so a dump that is cut short
// is not made smaller, but marked incomplete, its missing pages having empty
// descriptors. [Unflatten] makes a file of the stream.
type Flat struct {
	mu   sync.Mutex
	w    io.Writer
	err  error // the first one; nothing is written after it
	n    int64 // bytes given to w
	size int64 // of the file that the stream stands for
	head [flat.RecordSize]byte
}

// NewFlat writes the start block to w, which gets each record with two calls of
// Write.
func NewFlat(w io.Writer) (*Flat, error) {
	f := &Flat{w: w}
	b := make([]byte, flat.HeaderSize)
	copy(b, flat.Magic)
	binary.BigEndian.PutUint64(b[16:], flat.Type)
	binary.BigEndian.PutUint64(b[24:], flat.Version)
	return f, f.put(b)
}

func (f *Flat) put(p []byte) error {
	if f.err != nil {
		return f.err
	}
	n, err := f.w.Write(p)
	f.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		f.err = fmt.Errorf("flattened stream, after %d bytes: %w", f.n, err)
	}
	return f.err
}

// WriteAt writes one record. After an error all calls fail: half a record ends
// what a reader can follow.
func (f *Flat) WriteAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if off < 0 {
		return 0, fmt.Errorf("flattened stream: record of %d bytes at %d", len(p), off)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	binary.BigEndian.PutUint64(f.head[:], uint64(off))
	binary.BigEndian.PutUint64(f.head[8:], uint64(len(p)))
	if err := f.put(f.head[:]); err != nil {
		return 0, err
	}
	if err := f.put(p); err != nil {
		return 0, err
	}
	f.size = max(f.size, off+int64(len(p)))
	return len(p), nil
}

// ReadAt always fails: what went down a pipe is gone.
func (f *Flat) ReadAt([]byte, int64) (int, error) {
	return 0, fmt.Errorf("flattened stream: read back: %w", errors.ErrUnsupported)
}

// Truncate does nothing: the stream ends where its last record ends, and was
// empty at the start.
func (f *Flat) Truncate(int64) error { return nil }

// Allocate does nothing: a pipe has no room to be reserved.
func (f *Flat) Allocate(off, n int64) error { return nil }

// Sync returns the error that ended the stream, if any.
func (f *Flat) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// WriteOnly marks an output that cannot be read back and in which whatever is
// not written is missing, instead of zeros.
func (f *Flat) WriteOnly() {}

// Size is the size in bytes of the file that the stream stands for, so far.
func (f *Flat) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Written is the number of bytes in the stream so far.
func (f *Flat) Written() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Close writes the record that ends the stream. Without it every reader takes
// the stream for cut off, which is right when the dump failed. It does not
// close the writer.
func (f *Flat) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b [flat.RecordSize]byte
	end := int64(flat.EndMark)
	binary.BigEndian.PutUint64(b[:], uint64(end))
	binary.BigEndian.PutUint64(b[8:], uint64(end))
	if err := f.put(b[:]); err != nil {
		return err
	}
	f.err = fmt.Errorf("flattened stream: %w", fs.ErrClosed)
	return nil
}

// writeOnly tells whether out is a stream, such as [Flat].
func writeOnly(out Output) bool {
	_, ok := out.(interface{ WriteOnly() })
	return ok
}

// writeZeros makes the bytes from off up to end zeros in a stream, where they
// would be missing otherwise. In a file they are zeros already.
func writeZeros(out Output, off, end int64) error {
	if !writeOnly(out) {
		return nil
	}
	return fillZeros(out, off, end)
}

// fillZeros writes zeros from off up to end.
func fillZeros(out Output, off, end int64) error {
	if off >= end {
		return nil
	}
	zeros := make([]byte, min(chunk, end-off))
	for off < end {
		n, err := out.WriteAt(zeros[:min(int64(len(zeros)), end-off)], off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}
