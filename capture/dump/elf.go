package dump

import (
	"context"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// View says at which virtual address the crashed kernel sees physical memory.
type View struct {
	vmcore.Range        // physical
	Addr         uint64 // virtual address of Start
	// Image marks the mapping of the kernel's own image, which exists beside
	// the one of all memory.
	Image bool
}

// ELFOptions says how to write an ELF core.
type ELFOptions struct {
	// Views tell the addresses for the program headers; memory that is in none
	// gets the address 0. Debuggers that know nothing of Linux need them.
	Views []View
	// DropZeros leaves out pages of zeros, too. They are looked for before
	// anything is written: all memory is read twice.
	DropZeros bool
	// Progress is that of [Options].
	Progress func(Progress)
}

// Bounds of an ELF core.
const (
	// gapPages is how many pages that are left out, on end, end a segment. A
	// shorter run is written as zeros.
	gapPages = 256
	// maxSegments bounds the program headers; in memory so torn that it is not
	// enough, longer runs are written as zeros.
	maxSegments = 1 << 19
)

// WriteELF writes an ELF core of the selected pages of src to out, which it
// empties first. What is left out reads as zeros: where p_memsz is greater than
// p_filesz, as most readers have it, and, in runs of less than 256 pages, in
// the file itself, as a hole where the file system has them. So an ELF core
// cannot tell a page that was left out from one of zeros, and no page that was
// left out gets into the file just because of its neighbours.
//
// Program headers follow the ELF header, PT_NOTE first, then the kernel's image
// at its own address, then RAM. The image's segments share their bytes in the
// file with those of RAM.
//
// What is in the selection's First is written first. When the disk is full or ctx
// ends, the segments are ended where pages are missing, and Stats.Partial is true;
// a stream ([Flat]) is finished in the same way if it still can be written. An
// error means that out is no core.
func WriteELF(ctx context.Context, out Output, src vmcore.Source, sel *filter.Result, opt ELFOptions) (*Stats, error) {
	start := time.Now()
	if _, _, err := newHeader(src); err != nil { // the same limits hold here
		return nil, err
	}
	r, err := src.NewReader()
	if err != nil {
		return nil, fmt.Errorf("dump: %w", err)
	}
	defer r.Close()
	notes, _, _ := layNotes(src.Notes(), src.VMCoreInfo())
	keep, first := inCore(src, sel)
	w := &elfWriter{
		out: out, r: r, opt: opt, size: src.PageSize(), notes: notes, stored: keep, first: first,
		st: &Stats{Pages: keep.Len(), Workers: 1}, show: elfShower{opt.Progress, start, src.PageSize()},
	}
	pages := min(blockPages, blockBytes/w.size)
	w.mem, w.zero, w.kinds = make([]byte, pages*w.size), make([]byte, w.size), make([]pageKind, pages)
	if opt.DropZeros {
		w.stored = keep.Clone()
		if err := w.findZeros(ctx); err != nil {
			return w.st, fmt.Errorf("dump: %w: %w", ErrNothing, err)
		}
	}
	w.left = w.stored.Clone()
	pieces := valuable(loadsOf(src.RAM(), opt.Views), first, w.size)
	w.plan(pieces)
	if err := w.start(src.Machine()); err != nil {
		return w.st, err
	}
	for _, p := range pieces {
		w.piece(ctx, p)
	}
	w.show.now(w.st, w.left)
	err = w.finish(src.Machine())
	w.st.Elapsed = time.Since(start)
	return w.st, err
}
