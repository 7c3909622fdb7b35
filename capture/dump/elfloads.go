package dump

import (
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// load is a piece of RAM and its address.
type load struct {
	vmcore.Range
	addr uint64
}

// loadsOf cuts RAM where the views do.
func loadsOf(ram []vmcore.Range, views []View) []load {
	var all []load
	for _, r := range ram {
		for at := r.Start; at < r.End; {
			l := load{Range: vmcore.Range{Start: at, End: r.End}}
			for _, v := range views {
				switch {
				case v.Image:
				case v.Start <= at && at < v.End:
					l.End, l.addr = min(l.End, v.End), v.Addr+(at-v.Start)
				case v.Start > at && v.Start < l.End && l.addr == 0:
					l.End = v.Start
				}
			}
			all = append(all, l)
			at = l.End
		}
	}
	return all
}

// at is the part of l from start up to end, physical addresses in it.
func (l load) at(start, end uint64) load {
	part := load{Range: vmcore.Range{Start: start, End: end}}
	if l.addr != 0 {
		part.addr = l.addr + (start - l.Start)
	}
	return part
}

// Bounds on the pieces that are written before the rest.
const (
	joinPages = 4 * gapPages // what is closer together is one piece
	maxPieces = 4096         // with more, there is no order
)

// valuable cuts loads so that what has the pages of first comes before the rest.
func valuable(loads []load, first *pfnset.Set, size uint64) []load {
	if first == nil {
		return loads
	}
	var early, late []load
	for _, l := range loads {
		at := l.Start
		for at < l.End && len(early) <= maxPieces {
			from, to, ok := piece(first, at, l.End, size)
			if !ok {
				break
			}
			if from > at {
				late = append(late, l.at(at, from))
			}
			early = append(early, l.at(from, to))
			at = to
		}
		if at < l.End {
			late = append(late, l.at(at, l.End))
		}
	}
	if len(early) > maxPieces {
		return loads
	}
	return append(early, late...)
}

// piece finds the first run of pages of first, from physical address at up to
// end, that is far from others.
func piece(first *pfnset.Set, at, end, size uint64) (from, to uint64, ok bool) {
	pfn, ok := first.Next(at / size)
	if !ok || pfn*size >= end {
		return 0, 0, false
	}
	from = max(at, pfn*size)
	for ok && pfn*size < end {
		stop, more := first.NextAbsent(pfn)
		if !more {
			stop = first.Limit()
		}
		to = min(end, stop*size)
		if pfn, ok = first.Next(stop); pfn >= stop+joinPages {
			break
		}
	}
	return from, to, true
}
