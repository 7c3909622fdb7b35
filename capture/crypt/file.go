package crypt

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"filippo.io/age"
	"github.com/gokdump/gokdump/capture/target"
)

// ErrSealed is wrapped by the error of a write to a part of a file that is final.
// It wraps errors.ErrUnsupported.
var ErrSealed = fmt.Errorf("this part of the encrypted file is final: %w", errors.ErrUnsupported)

// File is an encrypted file on its way to a target. It takes writes at any place,
// in any order, and reads them back, as every target.File does; but what lies
// behind the part that [File.Allocate] named can be written once only. Sizes and
// offsets are those of the text.
type File struct {
	out     target.File
	payload cipher.AEAD // under the file's key, as age has it
	loosely cipher.AEAD // of drafts, under a key that is not kept
	head    int64       // where the chunks start in out

	mu      sync.Mutex
	pos     int64 // where the next Write goes
	size    int64
	loose   int64 // text before this may change until Commit
	lost    int64 // text from here on may not have reached out
	limit   int64 // text from here on was sealed and cut off again
	tick    uint64
	chunks  map[int64]*chunk
	drafts  map[int64]draft
	sealed  bitset
	clean   []*chunk // sealed, and read back
	free    [][]byte
	scratch []byte // slotSize
	ended   bool

	text  []byte // the header, until it is written
	once  bool   // out takes each byte once and gives none back
	data  int64  // if once: the chunk from which on they come in order
	ready *chunk // if once: whole, but perhaps the last

	runs sync.Pool // of *[maxRun * slotSize]byte
}

var _ target.File = (*File)(nil)

// NewFile makes out, which must be empty, an encrypted file.
// It takes out over: what ends the File ends out.
func NewFile(out target.File, to []age.Recipient) (*File, error) {
	head, payload, err := begin(to)
	if err != nil {
		return nil, err
	}
	loosely, err := draftCipher()
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return &File{
		text: head,
		out:  out, payload: payload, loosely: loosely, head: int64(len(head)),
		lost: math.MaxInt64, limit: math.MaxInt64, chunks: map[int64]*chunk{}, drafts: map[int64]draft{}, scratch: make([]byte, slotSize),
	}, nil
}

// mutable tells whether a chunk may change until the end.
func (f *File) mutable(index int64) bool { return index*chunkSize < f.loose }

// Allocate takes room for the first n bytes (off must be 0) and lets them be
// rewritten until Commit. It is called before anything is written there.
func (f *File) Allocate(off, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off != 0 || f.size != 0 || len(f.sealed) != 0 {
		return fmt.Errorf("encrypt: allocate %d bytes at %d of a file of %d: only the start of an empty file can be", n, off, f.size)
	}
	if n == 0 {
		return nil
	}
	if err := f.begin(); err != nil {
		return err
	}
	end := f.slot((n + chunkSize - 1) / chunkSize)
	if err := hold(f.out, f.head, end-f.head); err != nil {
		return err
	}
	f.loose, f.size = n, n
	return nil
}

// hold takes room in a file, by writing zeros where it cannot be taken otherwise.
func hold(out target.File, off, n int64) error {
	if a, ok := out.(interface{ Allocate(off, n int64) error }); ok {
		if err := a.Allocate(off, n); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	zeros := make([]byte, min(n, chunkSize))
	for n > 0 {
		w, err := out.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(w), n-int64(w)
	}
	return nil
}

// Whole tells from where on what was written may not have reached the target;
// math.MaxInt64 if all has.
func (f *File) Whole() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// Write implements [target.File].
func (f *File) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// WriteAt implements [target.File]. Bytes that an error does not count may be
// written again only where [File.Allocate] was asked for.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, fmt.Errorf("encrypt: write %d bytes at %d", len(p), off)
	}
	f.mu.Lock()
	err := f.begin()
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		index, in := at/chunkSize, int(at%chunkSize)
		if in == 0 {
			if n := f.claim(index, (len(p)-done)/chunkSize); n > 0 {
				if err := f.seal(p[done:done+n*chunkSize], index); err != nil {
					return done, err
				}
				done += n * chunkSize
				continue
			}
		}
		part := p[done:min(len(p), done+chunkSize-in)]
		if err := f.put(part, index, in); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// maxRun is how many chunks are sealed and written together.
const maxRun = 4

// claim marks chunks that are written as a whole and for good as sealed, and
// tells how many.
func (f *File) claim(index int64, most int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || f.once || f.mutable(index) {
		return 0
	}
	n := 0
	for i := index; n < min(most, maxRun) && !f.sealed.has(i) && f.chunks[i] == nil && (i+1)*chunkSize <= f.limit; i++ {
		f.sealed.add(i)
		n++
	}
	if n > 0 {
		f.size = max(f.size, (index+int64(n))*chunkSize)
	}
	return n
}

// seal writes claimed chunks. Each writer does so by itself.
func (f *File) seal(text []byte, index int64) error {
	run, ok := f.runs.Get().(*[maxRun * slotSize]byte)
	if !ok {
		run = new([maxRun * slotSize]byte)
	}
	defer f.runs.Put(run)
	b := run[:0]
	for i := index; len(text) > 0; i++ {
		b = f.payload.Seal(b, nonce(i, false), text[:chunkSize], nil)
		text = text[chunkSize:]
	}
	_, err := f.out.WriteAt(b, f.slot(index))
	if err != nil {
		f.mu.Lock()
		f.lost = min(f.lost, index*chunkSize)
		f.mu.Unlock()
	}
	return err
}

// put writes a part of a chunk, and seals the chunk when that was the last of it.
func (f *File) put(part []byte, index int64, in int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return errEnded("write")
	}
	end := index*chunkSize + int64(in+len(part))
	if f.sealed.has(index) || end > f.limit {
		return fmt.Errorf("encrypt: write %d bytes up to %d: %w", len(part), end, ErrSealed)
	}
	c, err := f.open(index)
	if err != nil {
		return err
	}
	if !c.held && !f.once && !f.mutable(index) {
		// What is taken must have its room: it is too late to say no when the
		// last part of the chunk comes.
		if err := hold(f.out, f.slot(index), slotSize); err != nil {
			f.drop(c)
			return err
		}
		c.held = true
	}
	copy(c.data[in:], part)
	c.dirty = true
	f.size = max(f.size, end)
	if f.mutable(index) || !c.cover(span{in, in + len(part)}) {
		return nil
	}
	if f.once {
		return f.complete(c)
	}
	return f.sealOpen(c)
}

// sealOpen seals a chunk of which all was written.
func (f *File) sealOpen(c *chunk) error {
	index := c.index
	f.sealed.add(index)
	b := f.payload.Seal(f.scratch[:0], nonce(index, false), c.data, nil)
	f.drop(c)
	if _, err := f.out.WriteAt(b, f.slot(index)); err != nil {
		f.lost = min(f.lost, index*chunkSize)
		return err
	}
	return nil
}

// ReadAt implements [target.File]. What was sealed is read from the target and
// must prove itself.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		f.mu.Lock()
		at := off + int64(done)
		if f.ended || off < 0 || at >= f.size {
			err := io.EOF
			if f.ended {
				err = errEnded("read")
			}
			f.mu.Unlock()
			return done, err
		}
		index, in := at/chunkSize, int(at%chunkSize)
		n := int(min(int64(chunkSize-in), f.size-at, int64(len(p)-done)))
		err := f.read(p[done:done+n], index, in)
		f.mu.Unlock()
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (f *File) read(p []byte, index int64, in int) error {
	if f.once && f.chunks[index] == nil {
		return fmt.Errorf("encrypt: read back: %w", errors.ErrUnsupported)
	}
	if !f.sealed.has(index) {
		c, err := f.open(index)
		if err == nil {
			copy(p, c.data[in:])
		}
		return err
	}
	if c := f.chunks[index]; c != nil { // the last one, cut
		copy(p, c.data[in:])
		return nil
	}
	for i, c := range f.clean {
		if c.index == index {
			copy(p, c.data[in:])
			copy(f.clean[1:i+1], f.clean[:i])
			f.clean[0] = c
			return nil
		}
	}
	c := &chunk{index: index}
	if len(f.clean) == maxClean {
		c.data = f.clean[maxClean-1].data
		f.clean = f.clean[:maxClean-1]
	} else {
		c.data = f.buffer()
	}
	if _, err := f.readSealed(c.data, index, false, chunkSize); err != nil {
		f.free = append(f.free, c.data)
		return err
	}
	copy(p, c.data[in:])
	f.clean = append([]*chunk{c}, f.clean...)
	return nil
}
