package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// ErrUnsound is wrapped by the error of [Verify] for a dump with which something
// is wrong.
var ErrUnsound = errors.New("the dump is not sound")

// VerifyOptions says how thoroughly to look. The zero value looks at all
// descriptors and at no page.
type VerifyOptions struct {
	// Every says which pages are decoded: 1 all, n one of n, 0 none. Of the
	// zero pages that share their bytes, one is read.
	Every uint64
	// Must are pages that have to be there. May be nil. MustEvery says which of
	// them are decoded, as Every does; 0 means all.
	Must      *pfnset.Set
	MustEvery uint64
	// Written, if not nil, is what [Write] told of this very dump. The file must
	// then be what was written: bitmaps, descriptors, and the bytes of all pages
	// that came first. Which of Must are decoded is for MustEvery to say still.
	Written *Written
	// Workers is the number of goroutines that read back; 0 means one for each CPU.
	Workers int
	// Progress, if not nil, is called as that of [Options], with the pages
	// decoded; BytesOut stays 0.
	Progress func(Progress)
}

// Check is what [Verify] saw. Counts are pages.
type Check struct {
	// Pages are in the dump, according to bitmap 2.
	Pages uint64
	// Zero pages share the bytes of one page of zeros; Raw and Compressed are
	// all others.
	Zero, Raw, Compressed uint64
	// Decoded pages were read and decoded.
	Decoded uint64
	// Compared pages of Must were not decoded: their bytes are those written.
	Compared uint64
	// Missing pages must be in the dump and are not.
	Missing uint64
	// Bad pages have a descriptor that cannot be true, or do not decode.
	Bad uint64
	// Problems describes the first few things that are wrong.
	Problems []error
	// Incomplete says that the writer marked the dump as cut short. That is
	// no problem by itself.
	Incomplete bool
	// Elapsed is the time that all of it took.
	Elapsed time.Duration
}

// keptProblems bounds Check.Problems.
const keptProblems = 16

// Verify looks at a dump as its readers will: bitmaps against each other, each
// descriptor against the file and the place of the descriptors themselves, and
// as many pages as opt says, decoded. The error wraps [ErrUnsound] when
// something is wrong with the dump, the context's cause when that ended first.
// Check is never nil.
func Verify(ctx context.Context, k vmcore.Kdump, opt VerifyOptions) (*Check, error) {
	start := time.Now()
	v := &verifier{k: k, h: k.Header(), opt: opt, check: &Check{Pages: k.Stored().Len()}}
	c := v.check
	c.Incomplete = v.h.Status&kdumpfmt.FlagIncomplete != 0
	v.bitmaps()
	todo, err := v.descriptors(ctx)
	if err == nil && opt.Written != nil {
		err = v.compare(ctx)
	}
	if err == nil {
		err = v.decode(ctx, todo)
	}
	c.Decoded = v.decoded.Load()
	c.Elapsed = time.Since(start)
	switch {
	case err != nil:
		return c, fmt.Errorf("verify: %w", err)
	case len(c.Problems) > 0:
		return c, fmt.Errorf("verify: %w: %d pages bad, %d missing: %w", ErrUnsound, c.Bad, c.Missing, c.Problems[0])
	}
	return c, nil
}

type verifier struct {
	k   vmcore.Kdump
	h   *kdumpfmt.Header
	opt VerifyOptions

	data   int64  // where page data may start
	table  uint64 // sum of the descriptors, as [Written] has it
	lowest lowest

	mu      sync.Mutex
	check   *Check
	decoded atomic.Uint64
}

func (v *verifier) problem(format string, a ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.check.Problems) < keptProblems {
		v.check.Problems = append(v.check.Problems, fmt.Errorf(format, a...))
	}
}

func (v *verifier) bad(format string, a ...any) {
	v.problem(format, a...)
	v.mu.Lock()
	v.check.Bad++
	v.mu.Unlock()
}

// bitmaps checks that what is stored is RAM, and that what must be is stored.
func (v *verifier) bitmaps() {
	size := uint64(v.h.BlockSize)
	ram := pages(v.k.RAM(), size, v.h.MaxMapNr)
	stored := v.k.Stored()
	if !stored.In(ram) {
		v.problem("bitmap 2 has pages that bitmap 1 does not call RAM")
	}
	if stored.Len() == 0 {
		v.problem("there are no pages in it")
	}
	if v.opt.Must == nil {
		return
	}
	for pfn, ok := v.opt.Must.Next(0); ok; pfn, ok = v.opt.Must.Next(pfn + 1) {
		if !stored.Has(pfn) {
			v.check.Missing++
			v.problem("the page at physical address %#x must be in it and is not", pfn*size)
		}
	}
}

// descriptors checks them all and returns the pages to decode.
func (v *verifier) descriptors(ctx context.Context) (*pfnset.Set, error) {
	const batch = 16 << 10
	r, err := v.k.NewReader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	stored := v.k.Stored()
	todo := pfnset.New(stored.Limit())
	v.data = v.h.DescOffset() + int64(v.check.Pages)*kdumpfmt.DescSize
	descs := make([]kdumpfmt.Desc, batch)
	pfn, _ := stored.Next(0)
	for slot := uint64(0); slot < v.check.Pages; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d := descs[:min(batch, v.check.Pages-slot)]
		if err := v.k.Descs(d, slot); err != nil {
			return nil, err
		}
		for _, d := range d {
			if v.descriptor(d, pfn) && v.wanted(d, pfn, slot) {
				todo.Add(pfn)
			}
			if v.opt.Written != nil {
				v.table += descSum(slot, d)
			}
			slot++
			pfn, _ = stored.Next(pfn + 1)
		}
	}
	v.countZero(r)
	if w := v.opt.Written; w != nil && v.table != w.table.Load() {
		v.problem("the descriptors are not those that were written")
	}
	return todo, nil
}

// descriptor checks and counts one.
func (v *verifier) descriptor(d kdumpfmt.Desc, pfn uint64) bool {
	pa := pfn * uint64(v.h.BlockSize)
	if err := d.Check(v.h.BlockSize, v.k.FileSize()); err != nil {
		v.bad("page at physical address %#x: %w", pa, err)
		return false
	}
	if d.Offset < v.data {
		v.bad("page at physical address %#x: its bytes, at %#x, lie before the end of the descriptors, %#x", pa, d.Offset, v.data)
		return false
	}
	if d.Flags != 0 {
		v.check.Compressed++
		return true
	}
	v.check.Raw++
	switch at := &v.lowest; {
	case at.count == 0 || d.Offset < at.offset:
		*at = lowest{offset: d.Offset, count: 1, pa: pa}
	case d.Offset == at.offset:
		at.count++
	}
	return true
}

// lowest is the raw page that lies before all others in the file, which is where
// writers put the shared page of zeros.
type lowest struct {
	offset int64
	count  uint64 // pages that have these bytes
	pa     uint64 // of the first of them
}

// countZero tells the pages of zeros from the raw ones.
func (v *verifier) countZero(r vmcore.Reader) {
	page := make([]byte, v.h.BlockSize)
	if v.lowest.count > 0 && r.ReadPhys(page, v.lowest.pa) == nil && bytes.Equal(page, make([]byte, len(page))) {
		v.check.Zero = v.lowest.count
		v.check.Raw -= v.lowest.count
	}
}

func (v *verifier) wanted(d kdumpfmt.Desc, pfn, slot uint64) bool {
	if v.opt.Must != nil && v.opt.Must.Has(pfn) {
		if slot%max(v.opt.MustEvery, 1) == 0 {
			return true
		}
		if v.opt.Written != nil {
			v.check.Compared++
		}
	}
	again := d.Offset == v.lowest.offset && v.lowest.count > 1
	return v.opt.Every > 0 && slot%v.opt.Every == 0 && !again
}
