package dump

import (
	"sync"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// wave gives out the pages of in that are not in without, in pfn order, a block
// at a time.
type wave struct {
	in, without *pfnset.Set // without may be nil
	tally       *tally

	mu   sync.Mutex
	pfn  uint64 // where to go on
	turn uint64 // of the next block

	line *line // where blocks wait for their turns, if they must
}

// end makes take give no more.
func (w *wave) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pfn = w.in.Limit()
}

// take fills dst with the next pfns and returns how many there are; 0 at the end.
func (w *wave) take(dst []uint64) int {
	n, _ := w.takeTurn(dst)
	return n
}

// takeTurn also tells which block of the wave it is.
func (w *wave) takeTurn(dst []uint64) (n int, turn uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	turn = w.turn
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
	if n > 0 {
		w.turn++
	}
	return n, turn
}

// plan puts the pages in the order of their worth: first must be in keep, image
// is the kernel's own, without whose page tables and variables nothing else can
// be found.
func (e *engine) plan(keep, first, image *pfnset.Set) []*wave {
	e.tally[1].pages = keep.Len()
	if first == nil || first.Len() == 0 {
		return []*wave{{in: keep, tally: &e.tally[1]}}
	}
	e.tally[0].pages = first.Len()
	e.tally[1].pages -= first.Len()
	rest := &wave{in: keep, without: first, tally: &e.tally[1]}
	if !image.In(first) {
		return []*wave{{in: first, tally: &e.tally[0]}, rest}
	}
	return []*wave{{in: image, tally: &e.tally[0]}, {in: first, without: image, tally: &e.tally[0]}, rest}
}

// pages is the set of pfns below limit that lie in ranges, in whole or in part.
func pages(ranges []vmcore.Range, pageSize, limit uint64) *pfnset.Set {
	s := pfnset.New(limit)
	for _, r := range ranges {
		s.AddRange(r.Start/pageSize, (r.End-1)/pageSize+1)
	}
	return s
}
