package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// segment is a PT_LOAD: memory from pa on, seen at addr, of which filesz bytes
// are in the file at off.
type segment struct{ pa, addr, off, filesz, memsz uint64 }

// elfWriter is one WriteELF.
type elfWriter struct {
	out  Output
	r    vmcore.Reader
	keep *pfnset.Set
	opt  ELFOptions
	size uint64 // of a page
	gap  uint64 // pages left out, on end, that end a segment

	notesAt, data uint64 // where notes and pages start
	segs          []segment
	end           uint64 // of the file so far
	stopped       error  // why no more pages are stored

	mem, zero []byte
	kinds     []pageKind      // of the pages in mem
	shared    map[uint64]bool // pfns that lie in two pieces of RAM: was it counted?
	st        *Stats
	show      elfShower
}

// pageKind says what becomes of a page.
type pageKind uint8

const (
	pageOut  pageKind = iota // not in the file
	pageZero                 // zeros, but in the file
	pageIn
)

// layOut decides where everything before the pages lies, and makes room for it.
func (w *elfWriter) layOut(loads []load, notes []byte) error {
	var n uint64
	for w.gap = gapPages; ; w.gap *= 2 {
		if n = mostSegments(loads, w.keep, w.gap, w.opt.DropZeros); n <= maxSegments || w.gap > w.keep.Limit() {
			break
		}
	}
	views := uint64(len(w.opt.Views))
	w.notesAt = ehdrSize + (1+2*n+views)*phdrSize + shdrSize // at most as many again for the image
	w.data = (w.notesAt + uint64(len(notes)) + w.size - 1) &^ (w.size - 1)
	w.end = w.data
	return makeRoom(w.out, Layout{Data: int64(w.data)})
}

// load stores one piece of RAM.
func (w *elfWriter) load(ctx context.Context, l load) {
	s := segment{pa: l.Start, addr: l.addr}
	last := l.Start // end of what was stored last
	for at := l.Start; at < l.End && w.stopped == nil; {
		if w.stopped = context.Cause(ctx); w.stopped != nil {
			break
		}
		base := at &^ (w.size - 1)
		end := min(l.End, base+uint64(len(w.mem)))
		w.fetch(base, end)
		for at < end && w.stopped == nil {
			i := (at - base) / w.size
			j := i + 1
			for j < uint64(len(w.kinds)) && w.kinds[j] == w.kinds[i] {
				j++
			}
			to := min(end, base+j*w.size)
			if w.kinds[i] != pageOut {
				if at-last >= w.gap*w.size {
					s.memsz = at - s.pa
					w.segs = append(w.segs, s)
					s = segment{pa: at}
					if l.addr != 0 {
						s.addr = l.addr + (at - l.Start)
					}
				}
				w.store(&s, at, w.mem[at-base:to-base], w.kinds[i])
				last = to
			}
			at = to
		}
		w.show.maybe(w.st, w.end-w.data)
	}
	s.memsz = l.End - s.pa
	w.segs = append(w.segs, s)
}

// store adds memory to a segment, in which what lies between reads as zeros.
func (w *elfWriter) store(s *segment, pa uint64, p []byte, kind pageKind) {
	if s.filesz == 0 {
		s.off = (w.end+w.size-1)&^(w.size-1) + s.pa%w.size
	}
	off := s.off + (pa - s.pa)
	err := writeZeros(w.out, int64(w.end), int64(off))
	n := 0
	switch {
	case err != nil:
	case kind == pageIn, writeOnly(w.out):
		n, err = w.out.WriteAt(p, int64(off))
	default:
		n = len(p) // a hole
	}
	if err != nil {
		w.stopped = fmt.Errorf("dump: write %d bytes of pages at %d: %w", len(p), off, err)
		n = max(0, int((pa+uint64(n))&^(w.size-1))-int(pa)) // whole pages
	}
	if n == 0 {
		return
	}
	s.filesz = pa + uint64(n) - s.pa
	w.end = s.off + s.filesz
	pages := w.count(pa/w.size, (pa+uint64(n)-1)/w.size+1)
	w.st.Stored += pages
	if kind == pageZero {
		w.st.Zero += pages
	} else {
		w.st.Raw += pages
	}
}

// count gives how many of the pfns were not counted before.
func (w *elfWriter) count(start, end uint64) uint64 {
	n := end - start
	for pfn, was := range w.shared {
		if pfn < start || pfn >= end {
			continue
		}
		if was {
			n--
		}
		w.shared[pfn] = true
	}
	return n
}

// fetch reads the pages that lie in memory from base up to end, and decides on
// each.
func (w *elfWriter) fetch(base, end uint64) {
	n := (end - base + w.size - 1) / w.size
	w.kinds = w.kinds[:n]
	clear(w.kinds)
	first := base / w.size
	for i := uint64(0); i < n; {
		if !w.keep.Has(first + i) {
			i++
			continue
		}
		j := i + 1
		for j < n && w.keep.Has(first+j) {
			j++
		}
		if w.r.ReadPhys(w.mem[i*w.size:j*w.size], base+i*w.size) == nil {
			for k := i; k < j; k++ {
				w.judge(first+k, k)
			}
		} else {
			w.fetchPages(base, i, j)
		}
		i = j
	}
}

// fetchPages reads page by page what cannot be read at once.
func (w *elfWriter) fetchPages(base, i, j uint64) {
	bad := 0
	var err error
	for ; i < j; i++ {
		pa := base + i*w.size
		if bad < badRun {
			if err = w.r.ReadPhys(w.mem[i*w.size:(i+1)*w.size], pa); err == nil {
				bad = 0
				w.judge(pa/w.size, i)
				continue
			}
			if !errors.Is(err, vmcore.ErrNoPage) {
				bad++
			}
		}
		if w.count(pa/w.size, pa/w.size+1) == 0 {
			continue
		}
		w.st.Unreadable++
		if w.st.ReadError == nil {
			w.st.ReadError = err
		}
		if len(w.st.UnreadableAt) < keptErrors {
			w.st.UnreadableAt = append(w.st.UnreadableAt, pa)
		}
	}
}

// judge decides on page i of the block, which was read.
func (w *elfWriter) judge(pfn, i uint64) {
	w.st.BytesIn += w.size
	w.kinds[i] = pageIn
	if !bytes.Equal(w.mem[i*w.size:(i+1)*w.size], w.zero) {
		return
	}
	w.kinds[i] = pageZero
	if w.opt.DropZeros {
		w.kinds[i] = pageOut
		n := w.count(pfn, pfn+1)
		w.st.Zero += n
		w.st.Stored += n
	}
}

// elfShower calls the caller's Progress at a bounded rate.
type elfShower struct {
	f    func(Progress)
	last time.Time
}

func (s *elfShower) maybe(st *Stats, out uint64) {
	if s.f == nil {
		return
	}
	if now := time.Now(); now.Sub(s.last) >= tick {
		s.last = now
		s.now(st, out)
	}
}

func (s *elfShower) now(st *Stats, out uint64) {
	if s.f != nil {
		s.f(Progress{Done: st.Stored + st.Unreadable, Total: st.Pages, BytesIn: st.BytesIn, BytesOut: out})
	}
}
