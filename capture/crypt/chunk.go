package crypt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// How many chunks are kept in memory, beside those that wait for a writer.
const (
	maxDrafts = 32 // that may still change
	maxClean  = 8  // that were sealed and read back
)

// chunk is one chunk in memory.
type chunk struct {
	index int64
	data  []byte // chunkSize bytes
	have  []span // what of it was written; of a draft, nothing
	dirty bool   // not in the file as it is here
	used  uint64 // when, by File.tick
	held  bool   // it has its room in the file
}

// draft is a chunk in the file that is not final.
type draft struct {
	version uint32 // the last that was written
	there   bool   // else it was cut off, and reads as zeros
}

// span is the bytes of a chunk from start up to, not including, end.
type span struct{ start, end int }

// cover notes that the bytes of s were written and tells whether all were.
func (c *chunk) cover(s span) bool {
	i := 0
	for i < len(c.have) && c.have[i].end < s.start {
		i++
	}
	j := i
	for j < len(c.have) && c.have[j].start <= s.end {
		s = span{min(s.start, c.have[j].start), max(s.end, c.have[j].end)}
		j++
	}
	c.have = slices.Replace(c.have, i, j, s)
	return c.have[0] == span{0, chunkSize}
}

// nonce is age's: the number of the chunk, big endian, and 1 for the last.
func nonce(index int64, last bool) []byte {
	n := make([]byte, chacha20poly1305.NonceSize)
	binary.BigEndian.PutUint64(n[3:], uint64(index))
	if last {
		n[11] = 1
	}
	return n
}

// draftNonce is one for each version of each chunk.
func draftNonce(index int64, version uint32) []byte {
	n := make([]byte, chacha20poly1305.NonceSize)
	binary.BigEndian.PutUint64(n, uint64(index))
	binary.BigEndian.PutUint32(n[8:], version)
	return n
}

// slot is where a chunk lies in the file.
func (f *File) slot(index int64) int64 { return f.head + index*slotSize }

// bitset holds the numbers of chunks.
type bitset []uint64

func (b bitset) has(i int64) bool { return int(i/64) < len(b) && b[i/64]>>(i%64)&1 != 0 }

// next is the first member from i on, -1 if there is none.
func (b bitset) next(i int64) int64 {
	for w := i / 64; w < int64(len(b)); w++ {
		word := b[w]
		if w == i/64 {
			word &= ^uint64(0) << (i % 64)
		}
		if word != 0 {
			return w*64 + int64(bits.TrailingZeros64(word))
		}
	}
	return -1
}

func (b *bitset) add(i int64) {
	if n := int(i/64) + 1; n > len(*b) {
		*b = append(*b, make([]uint64, n-len(*b))...)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

// errVersions cannot come before a chunk was put out four thousand million times.
var errVersions = errors.New("encrypt: a chunk was rewritten too often")

// putDraft writes a chunk that may still change to its place, under the key that
// is not kept.
func (f *File) putDraft(c *chunk) error {
	v := f.drafts[c.index].version
	if v == math.MaxUint32 {
		return errVersions
	}
	v++ // also when the write fails: a part of it may be there
	f.drafts[c.index] = draft{v, true}
	b := f.loosely.Seal(f.scratch[:0], draftNonce(c.index, v), c.data, nil)
	if _, err := f.out.WriteAt(b, f.slot(c.index)); err != nil {
		return err
	}
	c.dirty, c.held = false, true
	return nil
}

// open gives the chunk in memory, brought there if it is in the file as a draft.
func (f *File) open(index int64) (*chunk, error) {
	f.tick++
	if c, ok := f.chunks[index]; ok {
		c.used = f.tick
		return c, nil
	}
	if err := f.shrink(); err != nil {
		return nil, err
	}
	c := &chunk{index: index, data: f.buffer(), used: f.tick}
	if d := f.drafts[index]; d.there {
		c.held = true
		b := f.scratch[:slotSize]
		if err := readFull(f.out, b, f.slot(index)); err != nil {
			return nil, err
		}
		if _, err := f.loosely.Open(c.data[:0], draftNonce(index, d.version), b, nil); err != nil {
			return nil, fmt.Errorf("encrypt: read back the draft of chunk %d: %w", index, err)
		}
	} else {
		clear(c.data)
	}
	f.chunks[index] = c
	return c, nil
}

// shrink puts out the draft that was not used for longest when there are too many.
// Chunks that wait for their other writers are few, and stay.
func (f *File) shrink() error {
	var oldest *chunk
	n := 0
	for _, c := range f.chunks {
		if f.mutable(c.index) {
			n++
			if oldest == nil || c.used < oldest.used {
				oldest = c
			}
		}
	}
	if n < maxDrafts {
		return nil
	}
	if oldest.dirty {
		if err := f.putDraft(oldest); err != nil {
			return err
		}
	}
	f.drop(oldest)
	return nil
}

func (f *File) drop(c *chunk) {
	delete(f.chunks, c.index)
	f.free = append(f.free, c.data)
}

// buffer gives the memory of a chunk.
func (f *File) buffer() []byte {
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free = f.free[:n-1]
		return b
	}
	return make([]byte, chunkSize)
}

// readSealed gives the text of a chunk that was sealed, from the file.
func (f *File) readSealed(dst []byte, index int64, last bool, n int) ([]byte, error) {
	b := make([]byte, n+chacha20poly1305.Overhead)
	if err := readFull(f.out, b, f.slot(index)); err != nil {
		return nil, err
	}
	text, err := f.payload.Open(dst[:0], nonce(index, last), b, nil)
	if err != nil {
		return nil, fmt.Errorf("encrypt: chunk %d is not in the file as it was written: %w", index, err)
	}
	return text, nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	if n, err := r.ReadAt(p, off); n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("encrypt: read back %d bytes at %d: got %d: %w", len(p), off, n, err)
	}
	return nil
}
