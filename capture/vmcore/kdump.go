package vmcore

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// KdumpHeader is the header of a kdump-compressed file.
type KdumpHeader = kdumpfmt.Header

// Kdump is the Source that [Open] gives for a kdump-compressed file.
type Kdump interface {
	Source
	// Header is the file's header. It must not be changed.
	Header() *KdumpHeader
	// Stored are the pages that bitmap 2 promises; not all of them are there
	// when the writer could not finish. It must not be changed.
	Stored() *pfnset.Set
	// Descs reads the descriptors from slot first on, the rank of their page
	// in Stored, unchecked. Slots beyond the last are an error.
	Descs(d []kdumpfmt.Desc, first uint64) error
	// FileSize is the length of the file, in bytes.
	FileSize() int64
}

type kdumpSource struct {
	file   io.ReaderAt
	size   int64
	head   *kdumpfmt.Header
	stored *pfnset.Set
	index  *pfnset.Index
	count  uint64 // members of stored
	ram    []Range
	notes  []byte
	info   []byte
	mach   elf.Machine
	cut    written // nil unless the file is flattened and incomplete
	flat   string  // what Format adds
	close  func() error
}

// OpenKdump opens a kdump-compressed file of version 3 to 6.
//
// RAM comes from bitmap 1; VMCOREINFO from the notes or, when they have none,
// from where the header points at. One file of a split set gives its own pages
// alone. KernelImage is nil: the format does not tell.
func OpenKdump(f File, opts ...Option) (Kdump, error) {
	s, err := openKdump(f, newOptions(opts))
	if errors.Is(err, kdumpfmt.ErrTruncated) {
		err = fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open kdump-compressed core: %w", err)
	}
	return s, nil
}

func openKdump(f File, o *options) (*kdumpSource, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	h, err := kdumpfmt.ParseHeader(f, size)
	if err != nil {
		return nil, err
	}
	s := &kdumpSource{file: f, size: size, head: h, cut: o.cut, flat: o.flat}
	if o.real > 0 && h.BitmapSize() > o.real { // they would read as zeros, for long
		return nil, fmt.Errorf("%w: bitmaps of %d bytes, in a flattened file of %d", ErrTruncated, h.BitmapSize(), o.real)
	}
	if s.notes, err = s.readSpan(h.Notes, "notes"); err != nil {
		return nil, err
	}
	if s.info = findVMCoreInfo(s.notes); s.info == nil {
		if s.info, err = s.readSpan(h.VMCoreInfo, "VMCOREINFO"); err != nil {
			return nil, err
		}
	}
	if n := pageSizeOf(s.info); n != 0 && n != uint64(h.BlockSize) {
		return nil, fmt.Errorf("%w: blocks of %d bytes, but VMCOREINFO says pages of %d", kdumpfmt.ErrHeader, h.BlockSize, n)
	}
	if s.mach = machineOf(h.Uname.Machine); s.mach == elf.EM_NONE { // QEMU leaves it empty
		s.mach = machineOfNotes(s.notes)
	}
	if err := s.readBitmaps(); err != nil {
		return nil, err
	}
	// count is at most 2^40: no overflow.
	if end := h.DescOffset() + int64(s.count)*kdumpfmt.DescSize; end > size && !o.salvage {
		return nil, fmt.Errorf("%w: %d bytes, but the descriptors of %d pages end at %d", ErrTruncated, size, s.count, end)
	}
	return s, nil
}

// readSpan reads a part of the file that ParseHeader found to lie inside it
// and not to be too large; nil when there is none.
func (s *kdumpSource) readSpan(p kdumpfmt.Span, what string) ([]byte, error) {
	if p.Size == 0 {
		return nil, nil
	}
	b := make([]byte, p.Size)
	return b, readFull(s.file, b, p.Offset, s.size, what)
}

func (s *kdumpSource) readBitmaps() error {
	h := s.head
	ram := pfnset.New(h.MaxMapNr)
	if err := s.readBitmap(ram, h.Bitmap1Offset()); err != nil {
		return fmt.Errorf("bitmap 1: %w", err)
	}
	s.stored = ram
	if h.TwoBitmaps() {
		s.stored = pfnset.New(h.MaxMapNr)
		if err := s.readBitmap(s.stored, h.Bitmap2Offset()); err != nil {
			return fmt.Errorf("bitmap 2: %w", err)
		}
	}
	s.ram = rangesOf(ram, uint64(h.BlockSize))
	if h.Split != 0 { // the others' pages have their descriptors there
		s.stored = s.stored.Clone()
		s.stored.RemoveRange(0, h.StartPFN)
		s.stored.RemoveRange(h.EndPFN, h.MaxMapNr)
	}
	s.index = pfnset.NewIndex(s.stored)
	s.count = s.stored.Len()
	return nil
}

func (s *kdumpSource) readBitmap(set *pfnset.Set, off int64) error {
	buf := make([]byte, 64<<10)
	for pos, size := int64(0), s.head.BitmapSize(); pos < size; {
		b := buf[:min(size-pos, int64(len(buf)))]
		if err := readFull(s.file, b, off+pos, s.size, "bitmap"); err != nil {
			return err
		}
		set.SetBytes(b, uint64(pos)*8)
		pos += int64(len(b))
	}
	return nil
}

// maxRanges bounds the list of RAM ranges.
const maxRanges = 1 << 16

// rangesOf lists the members of set as bytes of memory. No machine has RAM in
// so many pieces as a bitmap can say; a single bitmap that is also that of the
// stored pages may. Small gaps are then taken for RAM.
func rangesOf(set *pfnset.Set, pageSize uint64) []Range {
	for gap := uint64(0); ; gap = max(gap*16, 16) {
		var out []Range
		for pfn := uint64(0); len(out) <= maxRanges; {
			start, ok := set.Next(pfn)
			if !ok {
				return out
			}
			end, ok := set.NextAbsent(start)
			if !ok {
				end = set.Limit()
			}
			if n := len(out); n > 0 && start-out[n-1].End/pageSize <= gap {
				out[n-1].End = end * pageSize
			} else {
				out = append(out, Range{start * pageSize, end * pageSize})
			}
			pfn = end
		}
	}
}

func machineOf(uname string) elf.Machine {
	switch uname {
	case "x86_64":
		return elf.EM_X86_64
	case "aarch64":
		return elf.EM_AARCH64
	case "ppc64le":
		return elf.EM_PPC64
	case "riscv64":
		return elf.EM_RISCV
	case "loongarch64":
		return elf.EM_LOONGARCH
	}
	return elf.EM_NONE
}

func (s *kdumpSource) Descs(d []kdumpfmt.Desc, first uint64) error {
	if first > s.count || uint64(len(d)) > s.count-first {
		return fmt.Errorf("descriptors %d to %d: there are %d", first, first+uint64(len(d)), s.count)
	}
	buf := make([]byte, min(len(d), 2048)*kdumpfmt.DescSize)
	for len(d) > 0 {
		b := buf[:min(len(d)*kdumpfmt.DescSize, len(buf))]
		off := s.head.DescOffset() + int64(first)*kdumpfmt.DescSize
		if err := readFull(s.file, b, off, s.size, "descriptors"); err != nil {
			return err
		}
		n := len(b) / kdumpfmt.DescSize
		for i := range d[:n] {
			d[i] = kdumpfmt.ParseDesc(b[i*kdumpfmt.DescSize:])
		}
		d, first = d[n:], first+uint64(n)
	}
	return nil
}

func (s *kdumpSource) Format() string       { return "kdump" + s.flat }
func (s *kdumpSource) Machine() elf.Machine { return s.mach }
func (s *kdumpSource) PageSize() uint64     { return uint64(s.head.BlockSize) }
func (s *kdumpSource) RAM() []Range         { return s.ram }
func (s *kdumpSource) KernelImage() []Range { return nil }
func (s *kdumpSource) Notes() []byte        { return s.notes }
func (s *kdumpSource) VMCoreInfo() []byte   { return s.info }
func (s *kdumpSource) Header() *KdumpHeader { return s.head }
func (s *kdumpSource) Stored() *pfnset.Set  { return s.stored }
func (s *kdumpSource) FileSize() int64      { return s.size }

func (s *kdumpSource) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}
