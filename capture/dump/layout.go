package dump

import (
	"debug/elf"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// Layout is where the parts of a dump lie in its file, in bytes from the start.
type Layout struct {
	// BlockSize is the page size.
	BlockSize int64
	// MaxPFN is the highest pfn of RAM plus 1.
	MaxPFN uint64
	// Pages is the number of descriptors.
	Pages uint64
	// Bitmap1, Bitmap2 and Desc are where bitmaps and descriptors start.
	Bitmap1, Bitmap2, Desc int64
	// Zero is where the shared zero page lies, and Data where the others start.
	// A dump is never smaller than Data.
	Zero, Data int64
}

// LayoutOf tells how a dump of the pages keep of src would lie in its file. It
// serves to compare Layout.Data with the room there is, before a page is read.
func LayoutOf(src vmcore.Source, keep *pfnset.Set) (Layout, error) {
	h, _, err := newHeader(src)
	if err != nil {
		return Layout{}, err
	}
	return layOut(h, keep)
}

func layOut(h *kdumpfmt.Header, keep *pfnset.Set) (Layout, error) {
	if pfn, ok := keep.Next(h.MaxMapNr); ok {
		return Layout{}, fmt.Errorf("dump: pfn %#x was selected, but RAM ends at pfn %#x", pfn, h.MaxMapNr)
	}
	l := Layout{
		BlockSize: int64(h.BlockSize),
		MaxPFN:    h.MaxMapNr,
		Pages:     keep.Len(),
		Bitmap1:   h.Bitmap1Offset(),
		Bitmap2:   h.Bitmap2Offset(),
		Desc:      h.DescOffset(),
	}
	// Pages start at a block, so that descriptors and data share no page cache.
	end := l.Desc + int64(l.Pages)*kdumpfmt.DescSize
	l.Zero = (end + l.BlockSize - 1) / l.BlockSize * l.BlockSize
	l.Data = l.Zero + l.BlockSize
	return l, nil
}

// newHeader makes the header as far as the core tells, and the notes.
func newHeader(src vmcore.Source) (*kdumpfmt.Header, []byte, error) {
	ram := src.RAM()
	if len(ram) == 0 {
		return nil, nil, errors.New("dump: the core has no RAM")
	}
	size := src.PageSize()
	if size < codec.MinPageSize || size > codec.MaxPageSize || size&(size-1) != 0 {
		return nil, nil, fmt.Errorf("dump: page size %d is not a power of two from %d to %d",
			size, codec.MinPageSize, codec.MaxPageSize)
	}
	pfns := (ram[len(ram)-1].End-1)/size + 1
	if pfns > kdumpfmt.MaxPFNs {
		return nil, nil, fmt.Errorf("dump: RAM ends at %#x, more than the %d pages that the format is used for",
			ram[len(ram)-1].End, int64(kdumpfmt.MaxPFNs))
	}
	notes, text, cpus := layNotes(src.Notes(), src.VMCoreInfo())
	if len(notes) > kdumpfmt.MaxNotes {
		return nil, nil, fmt.Errorf("dump: notes of %d bytes, at most %d are written", len(notes), kdumpfmt.MaxNotes)
	}
	h := kdumpfmt.NewHeader(uint32(size), pfns, len(notes))
	if text.Size != 0 {
		h.VMCoreInfo = kdumpfmt.Span{Offset: h.Notes.Offset + text.Offset, Size: text.Size}
	}
	h.CPUs = int32(cpus)
	return h, notes, nil
}

// describe fills in what the core does not tell.
func describe(h *kdumpfmt.Header, m Meta, machine elf.Machine, id codec.ID) {
	h.Uname = m.Uname
	// libkdumpfile takes the architecture from here, and only when none of
	// these is empty.
	standIn(&h.Uname.Sysname, "Linux")
	standIn(&h.Uname.Release, "unknown")
	standIn(&h.Uname.Version, "unknown")
	switch machine {
	case elf.EM_X86_64:
		standIn(&h.Uname.Machine, "x86_64")
	case elf.EM_AARCH64:
		standIn(&h.Uname.Machine, "aarch64")
	}
	h.CrashTime = m.CrashTime
	h.PhysBase = m.PhysBase
	h.DumpLevel = int32(m.Level)
	if m.CPUs > 0 {
		h.CPUs = int32(m.CPUs)
	}
	h.Status = id.Flag()
}

func standIn(s *string, value string) {
	if *s == "" {
		*s = value
	}
}
