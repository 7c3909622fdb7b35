package dump

import (
	"fmt"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// splitUnit is what the bounds of a set's files are multiples of, in pfns.
const splitUnit = 64

// Splits divides the pages that a dump of src would store among n files, each of
// about as many pages as the others. The error tells when there are not enough
// pages for n files.
func Splits(src vmcore.Source, sel *filter.Result, n int) ([]Split, error) {
	keep, _ := inCore(src, sel)
	limit, total := keep.Limit(), keep.Len()
	if n < 1 || uint64(n) > limit/splitUnit || uint64(n) > total {
		return nil, fmt.Errorf("dump: %d pages below pfn %#x cannot be split among %d files", total, limit, n)
	}
	var all []Split
	index := pfnset.NewIndex(keep)
	start := uint64(0)
	for i := range uint64(n) {
		// A file ends before the first unit with which it would have more than
		// its share, but leaves the others one unit each.
		want := total * (i + 1) / uint64(n)
		lo, hi := start/splitUnit+1, limit/splitUnit-(uint64(n)-1-i)
		for lo < hi {
			if mid := (lo + hi) / 2; index.Rank(mid*splitUnit) < want {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		end := lo * splitUnit
		if i == uint64(n)-1 {
			end = limit
		}
		all = append(all, Split{start, end})
		start = end
	}
	return all, nil
}

// split puts the bounds of one file of a set into h and gives its own pages.
func split(h *kdumpfmt.Header, s *Split, keep, first *pfnset.Set) (k, f *pfnset.Set, err error) {
	if s.Start >= s.End || s.End > h.MaxMapNr || s.Start%splitUnit != 0 || s.End%splitUnit != 0 && s.End != h.MaxMapNr {
		return nil, nil, fmt.Errorf("dump: file of pfns %#x up to %#x in a set of %#x", s.Start, s.End, h.MaxMapNr)
	}
	h.Split, h.StartPFN, h.EndPFN = 1, s.Start, s.End
	own := func(set *pfnset.Set) *pfnset.Set {
		if set == nil {
			return nil
		}
		set = set.Clone()
		set.RemoveRange(0, s.Start)
		set.RemoveRange(s.End, set.Limit())
		return set
	}
	return own(keep), own(first), nil
}
