package dump

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
	// Every says which pages are decoded: 1 all, n one of n, 0 none. Pages
	// that share the bytes of the one before are looked at once.
	Every uint64
	// Must are pages that have to be there; all of them are decoded. May be nil.
	Must *pfnset.Set
	// Workers is the number of goroutines that decode; 0 means one for each CPU.
	Workers int
	// Progress, if not nil, is called as that of [Options], with the pages
	// decoded; BytesOut stays 0.
	Progress func(Progress)
}

// Check is what [Verify] saw. Counts are pages.
type Check struct {
	// Pages are in the dump, according to bitmap 2.
	Pages uint64
	// Shared pages have the same bytes as the one before, as pages of zeros
	// have; Raw and Compressed are all others.
	Shared, Raw, Compressed uint64
	// Decoded pages were read and decoded.
	Decoded uint64
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
	ram := pfnset.New(v.h.MaxMapNr)
	size := uint64(v.h.BlockSize)
	for _, r := range v.k.RAM() {
		ram.AddRange(r.Start/size, (r.End-1)/size+1)
	}
	stored := v.k.Stored()
	if !subset(stored, ram) {
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
	const batch = 4096
	stored := v.k.Stored()
	todo := pfnset.New(stored.Limit())
	data := v.h.DescOffset() + int64(v.check.Pages)*kdumpfmt.DescSize
	descs := make([]kdumpfmt.Desc, batch)
	var last kdumpfmt.Desc
	pfn, _ := stored.Next(0)
	for slot := uint64(0); slot < v.check.Pages; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d := descs[:min(batch, v.check.Pages-slot)]
		if err := v.k.Descs(d, slot); err != nil {
			return nil, err
		}
		for i, d := range d {
			if v.descriptor(d, last, pfn, data) && v.wanted(pfn, slot+uint64(i), d == last) {
				todo.Add(pfn)
			}
			last = d
			pfn, _ = stored.Next(pfn + 1)
		}
		slot += uint64(len(d))
	}
	return todo, nil
}

// descriptor checks one; page data may lie from data on.
func (v *verifier) descriptor(d, last kdumpfmt.Desc, pfn uint64, data int64) bool {
	pa := pfn * uint64(v.h.BlockSize)
	if err := d.Check(v.h.BlockSize, v.k.FileSize()); err != nil {
		v.bad("page at physical address %#x: %w", pa, err)
		return false
	}
	if d.Offset < data {
		v.bad("page at physical address %#x: its bytes, at %#x, lie before the end of the descriptors, %#x", pa, d.Offset, data)
		return false
	}
	switch {
	case d == last:
		v.check.Shared++
	case d.Flags == 0:
		v.check.Raw++
	default:
		v.check.Compressed++
	}
	return true
}

func (v *verifier) wanted(pfn, slot uint64, shared bool) bool {
	if v.opt.Must != nil && v.opt.Must.Has(pfn) {
		return true
	}
	return v.opt.Every > 0 && slot%v.opt.Every == 0 && !shared
}

// decode reads the pages of todo.
func (v *verifier) decode(ctx context.Context, todo *pfnset.Set) error {
	total := todo.Len()
	if total == 0 {
		return nil
	}
	n := v.opt.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	from := &wave{in: todo}
	done := make(chan error)
	n = int(min(uint64(n), 1024, total/blockPages+1))
	for range n {
		go func() { done <- v.pages(ctx, from) }()
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var errs []error
	for n > 0 {
		select {
		case err := <-done:
			errs = append(errs, err)
			n--
		case <-ticker.C:
			v.show(total)
		}
	}
	v.show(total)
	return errors.Join(errs...)
}

func (v *verifier) show(total uint64) {
	if v.opt.Progress != nil {
		n := v.decoded.Load()
		v.opt.Progress(Progress{Done: n, Total: total, BytesIn: n * uint64(v.h.BlockSize)})
	}
}

func (v *verifier) pages(ctx context.Context, from *wave) error {
	r, err := v.k.NewReader()
	if err != nil {
		return err
	}
	defer r.Close()
	page := make([]byte, v.h.BlockSize)
	pfns := make([]uint64, blockPages)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := from.take(pfns)
		if n == 0 {
			return nil
		}
		for _, pfn := range pfns[:n] {
			if err := r.ReadPhys(page, pfn*uint64(len(page))); err != nil {
				v.bad("%w", err)
			}
			v.decoded.Add(1)
		}
	}
}
