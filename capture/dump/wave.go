package dump

import (
	"sync"

	"github.com/gokdump/gokdump/capture/pfnset"
)

// wave gives out the pages of in that are not in without, in pfn order, a block
// at a time.
type wave struct {
	in, without *pfnset.Set // without may be nil

	mu  sync.Mutex
	pfn uint64 // where to go on
}

// take fills dst with the next pfns and returns how many there are; 0 at the end.
func (w *wave) take(dst []uint64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(dst) {
		pfn, ok := w.in.Next(w.pfn)
		if !ok {
			w.pfn = w.in.Limit()
			break
		}
		if w.without != nil && w.without.Has(pfn) {
			if w.pfn, ok = w.without.NextAbsent(pfn); !ok {
				w.pfn = w.without.Limit()
			}
			continue
		}
		dst[n] = pfn
		n++
		w.pfn = pfn + 1
	}
	return n
}

// subset tells whether all of a is in b.
func subset(a, b *pfnset.Set) bool {
	for pfn, ok := a.Next(0); ok; pfn, ok = a.Next(pfn) {
		end, more := a.NextAbsent(pfn)
		if !more {
			end = a.Limit()
		}
		if b.LenRange(pfn, end) != end-pfn {
			return false
		}
		pfn = end
	}
	return true
}

// both is the set of pfns that are in a and in b.
func both(a, b *pfnset.Set) *pfnset.Set {
	out := a.Clone()
	for pfn, ok := uint64(0), true; ok; {
		if pfn, ok = b.NextAbsent(pfn); !ok {
			break
		}
		end, more := b.Next(pfn)
		if !more {
			end = b.Limit()
		}
		out.RemoveRange(pfn, end)
		if !more {
			break
		}
		pfn = end
	}
	out.RemoveRange(b.Limit(), out.Limit())
	return out
}
