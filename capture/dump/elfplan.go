package dump

import (
	"iter"
	"sort"
)

// segment is a PT_LOAD: memory from pa on, seen at addr, of which filesz bytes
// are in the file at off.
type segment struct{ pa, addr, off, filesz, memsz uint64 }

// Sizes of ELF64 structures, in bytes.
const (
	ehdrSize = 64
	phdrSize = 56
	shdrSize = 64
)

// spare is how many more program headers there is room for than a whole core
// needs: pages that turn out to be missing end segments, too.
const spare = 1024

// skew keeps pages off multiples of a page in the file, bytes. Where they are on
// them, makedumpfile maps windows of 4 MiB of the file and believes each to be one
// piece of memory: it then reads other pages than it wants, or dies (1.7.2 and
// 1.7.6).
const skew = 512

// plan decides where everything lies: pieces of RAM in the order in which they
// are written, so that a limit on the size of the file cuts the last ones.
func (w *elfWriter) plan(pieces []load) {
	for gap := uint64(gapPages); ; gap *= 2 {
		w.segs = w.segs[:0]
		for _, l := range pieces {
			w.cut(l, gap*w.size)
		}
		if len(w.segs) <= maxSegments || gap > w.stored.Limit() {
			break
		}
	}
	w.room = uint64(1 + len(w.segs) + len(w.image(w.segs)) + 2*len(pieces) + spare)
	w.noteAt = ehdrSize + w.room*phdrSize + shdrSize
	w.data = w.up(w.noteAt + uint64(len(w.notes)))
	w.end = w.data
	for i := range w.segs {
		if s := &w.segs[i]; s.filesz > 0 {
			s.off = w.end + (s.pa+skew-w.end)&(w.size-1)
			w.end = s.off + s.filesz
		}
	}
	sort.Slice(w.segs, func(i, j int) bool { return w.segs[i].pa < w.segs[j].pa })
}

// up rounds to the next page.
func (w *elfWriter) up(n uint64) uint64 { return (n + w.size - 1) &^ (w.size - 1) }

// cut makes the segments of one piece of RAM: gap bytes without a page end one.
func (w *elfWriter) cut(l load, gap uint64) {
	s := segment{pa: l.Start, addr: l.addr}
	last := l.Start // end of the page before
	for pfn, ok := w.stored.Next(l.Start / w.size); ok && pfn*w.size < l.End; {
		stop, more := w.stored.NextAbsent(pfn)
		if !more {
			stop = w.stored.Limit()
		}
		from, to := max(l.Start, pfn*w.size), min(l.End, stop*w.size)
		if from-last >= gap {
			s.memsz = from - s.pa
			w.segs = append(w.segs, s)
			s = segment{pa: from, addr: l.at(from, from).addr}
		}
		s.filesz, last = to-s.pa, to
		pfn, ok = w.stored.Next(stop)
	}
	s.memsz = l.End - s.pa
	w.segs = append(w.segs, s)
}

// segments gives the indexes of the segments that have bytes in the file of
// memory from at up to end.
func (w *elfWriter) segments(at, end uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		i := sort.Search(len(w.segs), func(i int) bool { return w.segs[i].pa+w.segs[i].memsz > at })
		for ; i < len(w.segs) && w.segs[i].pa < end; i++ {
			if w.segs[i].pa+w.segs[i].filesz > at && !yield(i) {
				return
			}
		}
	}
}

// image gives the segments of the kernel's image, which lie in the same bytes of
// the file as those of RAM.
func (w *elfWriter) image(segs []segment) []segment {
	var all []segment
	for _, v := range w.opt.Views {
		if !v.Image {
			continue
		}
		for _, s := range segs {
			from, to := max(v.Start, s.pa), min(v.End, s.pa+s.memsz)
			if from >= to {
				continue
			}
			i := segment{pa: from, addr: v.Addr + (from - v.Start), memsz: to - from, off: s.off + (from - s.pa)}
			if have := s.pa + s.filesz; have > from {
				i.filesz = min(have, to) - from
			}
			all = append(all, i)
		}
	}
	return all
}

// there is the segments as the file really has them: where pages are missing,
// they end, as long as there is room for program headers. Beyond that, missing
// pages read as zeros.
func (w *elfWriter) there() []segment {
	if w.left.Len() == 0 {
		return w.segs
	}
	more := (w.room - uint64(1+len(w.segs)+len(w.image(w.segs)))) / 2 // each one may be the image's, too
	var all []segment
	for _, s := range w.segs {
		end := s.pa + s.filesz
		pfn, ok := w.left.Next(s.pa / w.size)
		for ok && more > 0 && pfn*w.size < end {
			stop, found := w.left.NextAbsent(pfn)
			if !found {
				stop = w.left.Limit()
			}
			from, to := max(s.pa, pfn*w.size), min(end, stop*w.size)
			head := s
			head.filesz = from - s.pa
			if to == end { // nothing follows
				s = head
				break
			}
			head.memsz = to - s.pa
			all = append(all, head)
			if s.addr != 0 {
				s.addr += to - s.pa
			}
			s.off, s.filesz, s.memsz, s.pa = s.off+(to-s.pa), end-to, s.pa+s.memsz-to, to
			more--
			pfn, ok = w.left.Next(stop)
		}
		all = append(all, s)
	}
	return all
}
