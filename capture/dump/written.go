package dump

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// Written is what the writer of a dump remembers of it: both bitmaps, and sums of
// the descriptors and of the bytes of those pages that come first. [Verify] holds
// the file against it, which costs a read of these bytes and no decoding.
type Written struct {
	out         Output
	ram, stored *pfnset.Set

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

// compare reads the pages' bytes back. A disk is read best in one sweep, from front
// to back.
func (v *verifier) compare(ctx context.Context) error {
	w := v.opt.Written
	spans := slices.Clone(w.spans)
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.off, b.off) })
	var buf []byte
	h := xxhash.New()
	for _, s := range spans {
		h.Reset()
		for at := 0; at < s.n; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if buf == nil {
				buf = make([]byte, chunk)
			}
			p := buf[:min(len(buf), s.n-at)]
			if err := readAt(w.out, p, s.off+int64(at)); err != nil {
				v.bad("%w", err)
				break
			}
			_, _ = h.Write(p)
			at += len(p)
		}
		if got := h.Sum64(); got != s.hash {
			v.bad("the %d bytes of pages at %#x are not those that were written", s.n, s.off)
		}
	}
	return nil
}

// sameSet tells whether two sets have the same members.
func sameSet(a, b *pfnset.Set) bool { return subset(a, b) && subset(b, a) }
