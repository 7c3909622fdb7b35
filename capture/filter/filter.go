// Package filter decides which pages of a crashed machine a dump keeps.
//
// It makes one pass over the struct pages of all RAM and drops what the dump
// level names, on positive evidence only: what it does not understand, cannot
// read or finds absurd stays in the dump, and [Result.Warnings] says so. Pages
// of the kernel image, its page tables and its struct pages are never dropped,
// but for parts of the image that the kernel gave to its allocator after booting.
// It reads nothing but those and never looks at the content of a page, so that
// zero pages (level 1) are the business of whoever copies them.
//
// Facts: the levels are makedumpfile(8)'s; the meaning of the bits is
// capture/kernel's business.
package filter

import (
	"context"
	"fmt"
	"runtime"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// The bits of a dump level: what is left out, as in makedumpfile(8).
const (
	LevelZero         = 1  // pages that hold zeros only; not decided here
	LevelCache        = 2  // page cache without private data
	LevelCachePrivate = 4  // page cache with and without private data
	LevelUser         = 8  // anonymous and hugetlb pages
	LevelFree         = 16 // pages of the buddy allocator
	LevelMax          = 31
)

// maxPFN bounds physical memory: 52 address bits with 4 KiB pages.
const maxPFN = 1 << 40

// Class is what a page was found to be.
type Class uint8

// The classes. Zero pages are counted by whoever reads the pages.
const (
	Kept         Class = iota // stays in the dump
	Cache                     // page cache without private data
	CachePrivate              // page cache with private data
	User                      // anonymous or hugetlb
	Free                      // free, or not accepted from the host yet
	HWPoison                  // has a memory error
	Offline                   // taken out of use by a balloon or a hypervisor driver
	NumClasses                // the number of classes
)

var classNames = [NumClasses]string{"kept", "cache", "cache-private", "user", "free", "hwpoison", "offline"}

// String is the class's name in reports.
func (c Class) String() string {
	if c < NumClasses {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Options of [Scan].
type Options struct {
	Level    int                      // 0 to 31, the sum of Level bits
	Workers  int                      // goroutines; 0 takes GOMAXPROCS
	Progress func(done, total uint64) // pages of RAM; may be nil; called by one goroutine
}

// Result is what [Scan] found.
type Result struct {
	// RAM is all pages that lie in RAM, in whole or in part.
	RAM *pfnset.Set
	// Keep is the part of RAM that the dump keeps.
	Keep *pfnset.Set
	// First is the part of Keep without which no tool opens a dump: kernel
	// image, page tables, struct pages, mem_section, what is mapped in the
	// vmalloc area (stacks, modules), what was allocated at boot (per-cpu
	// areas) and, unless it is very much, slab. nil when none of it is known.
	First *pfnset.Set
	// Counts has pages by class; they add up to the pages of RAM.
	Counts map[Class]uint64
	// Warnings tell what was not understood and what was done instead.
	Warnings []string
}

// Scan decides on every page of RAM. info may be nil: then all is kept. The
// error is ctx's, or tells that the options or the core are unusable; a kernel
// that is not understood is no error but a warning, and its pages are kept. So it
// is with one over whose struct pages Scan itself fails.
func Scan(ctx context.Context, src vmcore.Source, info *kernel.Info, opt Options) (*Result, error) {
	if opt.Level < 0 || opt.Level > LevelMax {
		return nil, fmt.Errorf("filter: dump level %d is not between 0 and %d", opt.Level, LevelMax)
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	res, err := newResult(src)
	if err != nil {
		return nil, err
	}
	r, err := src.NewReader()
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	defer r.Close()
	s := &scan{src: src, info: info, opt: opt, res: res, pageSize: src.PageSize()}
	switch err := fence(func() error { return s.run(ctx, r) }); e := err.(type) {
	case nil:
	case *panicError: // of a worker, too
		if res, err = newResult(src); err != nil {
			return nil, err
		}
		res.Warnings = append(s.res.Warnings, fmt.Sprintf("%v: all pages are kept\n%s", e, e.stack))
	default:
		return nil, fmt.Errorf("filter: %w", err)
	}
	res.Counts[Kept] = res.Keep.Len()
	return res, nil
}

func newResult(src vmcore.Source) (*Result, error) {
	ram := src.RAM()
	if len(ram) == 0 {
		return nil, fmt.Errorf("filter: the core holds no RAM")
	}
	limit := (ram[len(ram)-1].End-1)/src.PageSize() + 1
	if limit > maxPFN {
		return nil, fmt.Errorf("filter: the core claims RAM up to %#x, beyond 52 address bits", ram[len(ram)-1].End)
	}
	res := &Result{RAM: pfnset.New(limit), Counts: map[Class]uint64{}}
	for _, r := range ram {
		if r.End > r.Start {
			res.RAM.AddRange(r.Start/src.PageSize(), (r.End-1)/src.PageSize()+1)
		}
	}
	res.Keep = res.RAM.Clone()
	return res, nil
}
