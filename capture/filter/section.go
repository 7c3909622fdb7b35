package filter

import (
	"context"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// chunkBytes is how much of the struct pages is read at once.
const chunkBytes = 256 << 10

// run is a run of pages of one class; it may reach beyond its section.
type run struct {
	start, end uint64 // pfns
	class      Class
}

// part is the result of one section.
type part struct {
	section  kernel.Section
	drops    []run
	slab     []run
	reserved []run
	tally    tally
	garbage  bool
	unread   error // why struct pages could not be read
	err      error // ctx's
}

func (p *part) reset(sec kernel.Section) {
	*p = part{section: sec, drops: p.drops[:0], slab: p.slab[:0], reserved: p.reserved[:0]}
}

func appendRun(runs []run, start, end uint64, c Class) []run {
	if n := len(runs); n > 0 && runs[n-1].end == start && runs[n-1].class == c {
		runs[n-1].end = end
		return runs
	}
	return append(runs, run{start, end, c})
}

// worker scans sections, one after the other. Workers share nothing that
// changes.
type worker struct {
	s     *scan
	mem   vmcore.Reader
	space *kernel.Space
	buf   []byte
}

func (s *scan) newWorker(mem vmcore.Reader) *worker {
	per := chunkBytes / s.layout.Size &^ 1
	return &worker{s: s, mem: mem, space: s.space.With(mem), buf: make([]byte, per*s.layout.Size)}
}

// scan judges all pages of RAM in p's section.
func (w *worker) scan(ctx context.Context, p *part) {
	sec, size := p.section, w.s.layout.Size
	per := uint64(len(w.buf)) / size
	ram := w.s.res.RAM
	pfn := sec.Start
	for pfn < sec.End {
		if p.err = ctx.Err(); p.err != nil {
			return
		}
		if ram.LenRange(pfn, sec.End) == 0 { // keeps the search in the section
			break
		}
		start, _ := ram.Next(pfn)
		end := min(sec.End, start&^1+per, ram.Limit())
		if ram.LenRange(start, end) < end-start {
			end, _ = ram.NextAbsent(start)
		}
		// whole pairs of pages: a head's neighbour tells its order
		first := start &^ 1
		n := (end+1)&^1 - first
		b := w.buf[:n*size]
		w.read(p, b, sec.Map+(first-sec.Start)*size)
		pfn = w.judge(p, b, first, start, end)
	}
	// garbage would be judged by chance
	if p.tally.implausible*8 > p.tally.scanned {
		p.drops, p.garbage = p.drops[:0], true
	}
}

// judge decides on the pages from start to end, whose struct pages are in b
// from the one of pfn first on. It returns the next page to look at.
func (w *worker) judge(p *part, b []byte, first, start, end uint64) uint64 {
	l, level := w.s.layout, w.s.opt.Level
	size := l.Size
	pfn := start
	for pfn < end {
		at := (pfn - first) * size
		page := b[at : at+size]
		next := page // only a head looks at it, and that is the first of a pair
		if pfn&1 == 0 {
			next = b[at+size : at+2*size]
		}
		p.tally.scanned++
		if l.IsPlain(page) {
			pfn++
			continue
		}
		class, n := decide(l, level, page, next, pfn, &p.tally)
		if class != Kept {
			p.drops = appendRun(p.drops, pfn, pfn+n, class)
			pfn += n
			continue
		}
		if n > 0 && !l.IsTail(page) {
			switch {
			case l.IsSlab(page):
				p.slab = appendRun(p.slab, pfn, pfn+n, Kept)
			case l.IsReserved(page):
				p.reserved = appendRun(p.reserved, pfn, pfn+1, Kept)
			}
		}
		pfn++
	}
	return pfn
}

// read fills b with the struct pages at va, one mapping after the other. Those
// that cannot be read become uninitialised ones: all bits set.
func (w *worker) read(p *part, b []byte, va uint64) {
	size := w.s.layout.Size
	bad := func(from, to uint64, err error) {
		from, to = from/size*size, min((to+size-1)/size*size, uint64(len(b)))
		for i := from; i < to; i++ {
			b[i] = 0xff
		}
		p.tally.unread += (to - from) / size
		if p.unread == nil {
			p.unread = err
		}
	}
	var spoiled []run // offsets, done last so that no later read undoes them
	var why error
	fail := func(from, to uint64, err error) {
		spoiled = appendRun(spoiled, from, to, Kept)
		why = err
	}
	page := w.s.pageSize
	for at := uint64(0); at < uint64(len(b)); {
		pa, n, err := w.space.Translate(va + at)
		if err != nil {
			to := min((va+at)&^(page-1)+page-va, uint64(len(b)))
			fail(at, to, err)
			at = to
			continue
		}
		n = min(n, uint64(len(b))-at)
		if err := w.mem.ReadPhys(b[at:at+n], pa); err != nil {
			for to := at; to < at+n; { // page by page: lose no more than needed
				from := to
				to = min(from+page-(pa+from-at)%page, at+n)
				if err := w.mem.ReadPhys(b[from:to], pa+from-at); err != nil {
					fail(from, to, err)
				}
			}
		}
		at += n
	}
	for _, r := range spoiled {
		bad(r.start, r.end, why)
	}
}
