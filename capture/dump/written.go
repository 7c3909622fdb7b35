package dump

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// Written is what the writer of a dump remembers of it: sums of both bitmaps, of the
// descriptors and of the bytes of those pages that come first. [Verify] holds the
// file against it, which costs a read of these bytes and no decoding.
type Written struct {
	out     Output
	bitmaps [2]span

	table atomic.Uint64 // the sum of descSum over all descriptors

	mu    sync.Mutex
	spans []span
}

// span is so many bytes of the file and their hash.
type span struct {
	off  int64
	n    int
	hash uint64
}

// wrote remembers bytes of pages.
func (w *Written) wrote(p []byte, off int64) {
	s := span{off, len(p), xxhash.Sum64(p)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spans = append(w.spans, s)
}

// descSum is the part of one descriptor in the sum of all, which does not depend on
// the order in which they are written.
func descSum(slot uint64, d kdumpfmt.Desc) uint64 {
	hi, lo := bits.Mul64(uint64(d.Offset)^0x9e3779b97f4a7c15, slot^0xc2b2ae3d27d4eb4f)
	hi, lo = bits.Mul64(hi^lo^uint64(d.Size)<<32^uint64(d.Flags), 0xff51afd7ed558ccd)
	return hi ^ lo
}

// newWritten begins with the bitmaps.
func newWritten(out Output, h *kdumpfmt.Header, ram, stored *pfnset.Set) *Written {
	w := &Written{out: out}
	buf := make([]byte, min(chunk, h.BitmapSize()))
	for i, set := range []*pfnset.Set{ram, stored} {
		sum := xxhash.New()
		for off := int64(0); off < h.BitmapSize(); off += int64(len(buf)) {
			p := buf[:min(int64(len(buf)), h.BitmapSize()-off)]
			set.Bytes(p, uint64(off)*8)
			_, _ = sum.Write(p)
		}
		at := []int64{h.Bitmap1Offset(), h.Bitmap2Offset()}[i]
		w.bitmaps[i] = span{at, int(h.BitmapSize()), sum.Sum64()}
	}
	return w
}

// compare reads bitmaps and pages back.
func (v *verifier) compare(ctx context.Context) error {
	w := v.opt.Written
	buf := make([]byte, chunk)
	for i, s := range w.bitmaps {
		sum, err := w.sum(ctx, buf, s.off, s.off+int64(s.n))
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			v.problem("%w", err)
		case sum != s.hash:
			v.problem("bitmap %d is not what was written", i+1)
		}
	}
	spans := slices.Clone(w.spans)
	sort.Slice(spans, func(i, j int) bool { return spans[i].off < spans[j].off }) // not the generic one: 12 KB of the crash image
	var next atomic.Int64
	done := make(chan error)
	n := max(1, min(v.workers(), len(spans)))
	for range n {
		go func() { done <- fenced(func() error { return v.compareSpans(ctx, spans, &next) }) }()
	}
	var errs []error
	for range n {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// compareSpans reads back, one after the other, what of spans nobody else does. A disk
// is read best in one sweep, from front to back, or nearly so.
func (v *verifier) compareSpans(ctx context.Context, spans []span, next *atomic.Int64) error {
	w, buf := v.opt.Written, make([]byte, chunk)
	for {
		i := int(next.Add(1)) - 1
		if i >= len(spans) {
			return nil
		}
		s := spans[i]
		sum, err := w.sum(ctx, buf, s.off, s.off+int64(s.n))
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			v.bad("%w", err)
		case sum != s.hash:
			v.bad("the %d bytes of pages at %#x are not those that were written", s.n, s.off)
		}
	}
}

// sum hashes the bytes of the file from at up to end.
func (w *Written) sum(ctx context.Context, buf []byte, at, end int64) (uint64, error) {
	h := xxhash.New()
	for at < end {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		p := buf[:min(int64(len(buf)), end-at)]
		if err := readAt(w.out, p, at); err != nil {
			return 0, err
		}
		_, _ = h.Write(p)
		at += int64(len(p))
	}
	return h.Sum64(), nil
}
