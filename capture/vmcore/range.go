package vmcore

import (
	"slices"
	"sort"
)

// mergeRanges sorts ranges and joins those that touch or overlap. It changes
// its argument.
func mergeRanges(r []Range) []Range {
	sort.Slice(r, func(i, j int) bool { return r[i].Start < r[j].Start })
	out := r[:0]
	for _, x := range r {
		switch {
		case x.Start >= x.End:
		case len(out) > 0 && x.Start <= out[len(out)-1].End:
			out[len(out)-1].End = max(out[len(out)-1].End, x.End)
		default:
			out = append(out, x)
		}
	}
	return slices.Clip(out)
}

// contains tells whether pa lies in one of the ranges, which are sorted and
// apart from each other.
func contains(r []Range, pa uint64) bool {
	_, ok := slices.BinarySearchFunc(r, pa, func(x Range, pa uint64) int {
		switch {
		case x.End <= pa:
			return -1
		case x.Start > pa:
			return 1
		}
		return 0
	})
	return ok
}

// extent is physical memory from pa up to end that lies in the file at off.
type extent struct {
	pa, end uint64
	off     int64
}

// mergeExtents sorts extents by address and takes away what is there twice, so
// that a search finds one place. It changes its argument.
func mergeExtents(e []extent) []extent {
	// The sort is stable: among equals, the file's order decides.
	sort.SliceStable(e, func(i, j int) bool { return e[i].pa < e[j].pa })
	out := e[:0]
	for _, x := range e {
		if len(out) > 0 {
			last := &out[len(out)-1]
			if x.pa < last.end { // the same memory again, as the kernel image's alias
				if x.end <= last.end {
					continue
				}
				x.off += int64(last.end - x.pa)
				x.pa = last.end
			}
			if x.pa == last.end && x.off == last.off+int64(last.end-last.pa) {
				last.end = x.end
				continue
			}
		}
		if x.pa < x.end {
			out = append(out, x)
		}
	}
	return slices.Clip(out)
}

// findExtent gives the index of the first extent that ends above pa, which may
// also start above it; len(e) when there is none. near is a guess, such as the
// last answer.
func findExtent(e []extent, pa uint64, near int) int {
	for i := near; i < len(e) && i <= near+1; i++ {
		if pa >= e[i].pa && pa < e[i].end {
			return i
		}
	}
	lo, hi := 0, len(e)
	for lo < hi {
		if mid := (lo + hi) / 2; e[mid].end > pa {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
