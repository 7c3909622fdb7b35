package crypt

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// Truncate implements [target.File]. What was sealed and is cut off cannot be
// written again.
func (f *File) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return errEnded("truncate")
	}
	if size < 0 {
		return fmt.Errorf("encrypt: truncate to %d", size)
	}
	if size >= f.size {
		return f.lengthen(size)
	}
	if f.once {
		return fmt.Errorf("encrypt: cut %d bytes to %d: %w", f.size, size, errors.ErrUnsupported)
	}
	last, rest := size/chunkSize, int(size%chunkSize)
	for i, c := range f.chunks {
		if i > last || i == last && rest == 0 {
			f.drop(c)
		}
	}
	for i, d := range f.drafts {
		if i > last || i == last && rest == 0 {
			f.drafts[i] = draft{d.version, false}
		}
	}
	if rest != 0 {
		if err := f.cut(last, rest); err != nil {
			return err
		}
	}
	f.size, f.clean = size, nil
	if size <= f.lost {
		f.lost = math.MaxInt64
	}
	if burnt := f.sealed.next(last); burnt >= 0 {
		f.limit = min(f.limit, max(size, burnt*chunkSize))
	}
	return f.out.Truncate(f.slot(last) + min(1, int64(rest))*slotSize)
}

// cut makes the end of a chunk zeros. One that is sealed already stays in memory
// from here on, to be sealed once more, as the last one, which is another nonce.
func (f *File) cut(index int64, rest int) error {
	if f.sealed.has(index) && f.chunks[index] == nil {
		c := &chunk{index: index, data: f.buffer(), held: true}
		if _, err := f.readSealed(c.data, index, false, chunkSize); err != nil {
			return err
		}
		f.chunks[index] = c
	}
	c, err := f.open(index)
	if err != nil {
		return err
	}
	clear(c.data[rest:])
	c.dirty = true
	if !f.sealed.has(index) {
		c.have = clip(c.have, rest)
	}
	return nil
}

// clip cuts spans at end.
func clip(have []span, end int) []span {
	var left []span
	for _, s := range have {
		if s.start < end {
			left = append(left, span{s.start, min(s.end, end)})
		}
	}
	return left
}

// lengthen adds zeros, but not where something was sealed before.
func (f *File) lengthen(size int64) error {
	if size > f.limit {
		return fmt.Errorf("encrypt: lengthen %d bytes to %d: %w", f.size, size, ErrSealed)
	}
	f.size = size
	return nil
}

// Sync implements [target.File]. Before Commit nobody can make anything of what
// is there.
func (f *File) Sync() error { return f.out.Sync() }

// Commit implements [target.File].
func (f *File) Commit() error { return f.commit(f.out.Commit) }

// CommitAs implements [target.File].
func (f *File) CommitAs(name string) error {
	return f.commit(func() error { return f.out.CommitAs(name) })
}

// commit seals the file, once, and then lets out say whether it can be ended so.
func (f *File) commit(end func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		if err := f.finish(); err != nil {
			f.out.Abandon()
			return fmt.Errorf("commit: %w", err)
		}
	}
	return end()
}

// finish seals what is not sealed yet, and the last chunk as the last, and reads
// all of that back.
func (f *File) finish() error {
	if f.lost < f.size {
		return fmt.Errorf("encrypt: what was written from %d on did not reach the target", f.lost)
	}
	if err := f.begin(); err != nil {
		return err
	}
	last := max(0, (f.size-1)/chunkSize)
	var fresh bitset
	for i := range f.order(last) {
		if f.sealed.has(i) && i != last {
			continue
		}
		if err := f.sealFinal(i, i == last); err != nil {
			return err
		}
		fresh.add(i)
	}
	n := f.length(last, last)
	if err := f.out.Truncate(f.slot(last) + int64(n) + slotSize - chunkSize); err != nil {
		return err
	}
	if err := f.out.Sync(); err != nil {
		return err
	}
	if f.once {
		return nil // what it has cannot be read back
	}
	buf := make([]byte, chunkSize)
	for i := int64(0); i <= last; i++ {
		if fresh.has(i) {
			if _, err := f.readSealed(buf, i, i == last, f.length(i, last)); err != nil {
				return err
			}
		}
	}
	return nil
}

// length is how many bytes of text a chunk has.
func (f *File) length(index, last int64) int {
	if index < last {
		return chunkSize
	}
	return int(f.size - last*chunkSize)
}

// sealFinal seals a chunk for the one time that its nonce can be used.
func (f *File) sealFinal(index int64, last bool) error {
	n := f.length(index, max(0, (f.size-1)/chunkSize))
	c := f.chunks[index]
	if n == 0 {
		c = &chunk{index: index, data: f.buffer()}
	}
	if c == nil && f.sealed.has(index) { // whole, but it was not known to be the last
		c = &chunk{index: index, data: f.buffer()}
		if _, err := f.readSealed(c.data, index, false, chunkSize); err != nil {
			return err
		}
	}
	if c == nil {
		var err error
		if c, err = f.open(index); err != nil {
			return err
		}
	}
	f.sealed.add(index)
	b := f.payload.Seal(f.scratch[:0], nonce(index, last), c.data[:n], nil)
	delete(f.drafts, index)
	if f.chunks[index] != nil {
		f.drop(c)
	} else {
		f.free = append(f.free, c.data)
	}
	_, err := f.out.WriteAt(b, f.slot(index))
	return err
}

// Abandon implements [target.File]. What there is gets sealed all the same, as far
// as that goes, so that the evidence can be looked at.
func (f *File) Abandon() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		_ = f.finish() // it was going to be in pieces
	}
	return f.out.Abandon()
}

// Size implements [target.File]: that of the text.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Stored is the size in bytes of the encrypted file.
func (f *File) Stored() int64 { return f.out.Size() }

// Name implements [target.File].
func (f *File) Name() string { return f.out.Name() }

// Free is the number of bytes free in the target.
func (f *File) Free() (uint64, error) {
	if s, ok := f.out.(interface{ Free() (uint64, error) }); ok {
		return s.Free()
	}
	return 0, fmt.Errorf("encrypt: free space: %w", errors.ErrUnsupported)
}

func errEnded(op string) error { return fmt.Errorf("encrypt: %s: %w", op, fs.ErrClosed) }
