package vmcore

import (
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

const (
	cachePages = 8 // decoded pages that a reader keeps: walks of page tables
	descBlocks = 8 // blocks of descriptors that a reader keeps
	blockDescs = 170
)

type kdumpReader struct {
	src   *kdumpSource
	dec   *codec.Decoder
	raw   []byte // one page as the file has it
	pages [cachePages]struct {
		pfn  uint64
		data []byte // nil when empty
	}
	next  int // page to be replaced next
	descs [descBlocks]struct {
		first uint64
		n     int
		b     [blockDescs * kdumpfmt.DescSize]byte
	}
}

func (s *kdumpSource) NewReader() (Reader, error) {
	return &kdumpReader{src: s, dec: codec.NewDecoder(), raw: make([]byte, s.head.BlockSize)}, nil
}

func (r *kdumpReader) Close() error { return nil }

func (r *kdumpReader) ReadPhys(p []byte, pa uint64) error {
	size := uint64(r.src.head.BlockSize)
	for len(p) > 0 {
		pfn, in := pa/size, pa%size
		n := min(uint64(len(p)), size-in)
		if err := r.readPage(p[:n], pfn, in, pa); err != nil {
			return err
		}
		p, pa = p[n:], pa+n
	}
	return nil
}

// readPage fills p from the page at pfn, from byte in of it on.
func (r *kdumpReader) readPage(p []byte, pfn, in, pa uint64) error {
	if !r.src.stored.Has(pfn) {
		return r.noPage(pfn, pa)
	}
	for i := range r.pages {
		if c := &r.pages[i]; c.data != nil && c.pfn == pfn {
			copy(p, c.data[in:])
			return nil
		}
	}
	if len(p) == len(r.raw) { // whole pages are read one after another: no cache
		return r.decode(p, pfn, pa)
	}
	c := &r.pages[r.next]
	r.next = (r.next + 1) % cachePages
	data := c.data
	c.data = nil // not valid while it is being filled
	if data == nil {
		data = make([]byte, len(r.raw))
	}
	if err := r.decode(data, pfn, pa); err != nil {
		return err
	}
	c.pfn, c.data = pfn, data
	copy(p, data[in:])
	return nil
}

// decode fills p, one page, from the file.
func (r *kdumpReader) decode(p []byte, pfn, pa uint64) error {
	d, err := r.desc(r.src.index.Rank(pfn))
	if err == errNoDesc {
		return &pageError{pa, "the core file ends before its descriptor", ErrTruncated}
	}
	if err != nil {
		return fmt.Errorf("descriptor of the page at physical address %#x: %w", pa, err)
	}
	if d.Offset == 0 && r.src.cut != nil {
		return &pageError{pa, "the flattened file ends before its descriptor", ErrTruncated}
	}
	if d.Offset == 0 {
		return &pageError{pa, "lost, since the dump was not finished", nil}
	}
	if err := d.Check(r.src.head.BlockSize, r.src.size); err != nil {
		if d.Offset > 0 && d.Size <= r.src.head.BlockSize && d.Offset > r.src.size-int64(d.Size) {
			return &pageError{pa, "the core file ends before it", ErrTruncated}
		}
		return fmt.Errorf("page at physical address %#x: %w", pa, err)
	}
	if c := r.src.cut; c != nil && !c.Written(d.Offset, int64(d.Size)) {
		return &pageError{pa, "the flattened file ends before it", ErrTruncated}
	}
	if d.Flags == 0 {
		return r.readFile(p, d.Offset, pa)
	}
	raw := r.raw[:d.Size]
	if err := r.readFile(raw, d.Offset, pa); err != nil {
		return err
	}
	if err := r.dec.Decode(p, d.Flags, raw); err != nil {
		return fmt.Errorf("page at physical address %#x, %d bytes at file offset %#x: %w", pa, d.Size, d.Offset, err)
	}
	return nil
}

func (r *kdumpReader) readFile(p []byte, off int64, pa uint64) error {
	if n, err := r.src.file.ReadAt(p, off); n < len(p) {
		return fmt.Errorf("read page at physical address %#x, %d bytes at file offset %#x: %w", pa, len(p), off, shortRead(err))
	}
	return nil
}

var errNoDesc = errors.New("the file ends before the descriptor")

// desc gives the descriptor in a slot, by way of the block that it is in.
func (r *kdumpReader) desc(slot uint64) (kdumpfmt.Desc, error) {
	first := slot / blockDescs * blockDescs
	c := &r.descs[slot/blockDescs%descBlocks]
	i := int(slot - first)
	if c.first != first || i >= c.n {
		s := r.src
		off := s.head.DescOffset() + int64(first)*kdumpfmt.DescSize
		have := max(s.size-off, 0) / kdumpfmt.DescSize
		n := int(min(blockDescs, s.count-first, uint64(have)))
		c.first, c.n = first, 0
		if i >= n {
			return kdumpfmt.Desc{}, errNoDesc
		}
		if err := readFull(s.file, c.b[:n*kdumpfmt.DescSize], off, s.size, "descriptors"); err != nil {
			return kdumpfmt.Desc{}, err
		}
		c.n = n
	}
	return kdumpfmt.ParseDesc(c.b[i*kdumpfmt.DescSize:]), nil
}

func (r *kdumpReader) noPage(pfn, pa uint64) error {
	h := r.src.head
	switch {
	case h.Split != 0 && (pfn < h.StartPFN || pfn >= h.EndPFN):
		return &pageError{pa, "in another file of the split dump", nil}
	case contains(r.src.ram, pa):
		return &pageError{pa, "left out when the core was filtered", nil}
	}
	return &pageError{pa, "not RAM", nil}
}
