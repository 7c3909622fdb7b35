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

	claim claim  // the block that is being proved
	last  claim  // the one proved last; what follows may speak against it
	open  run    // of a compound page that reaches beyond the section
	lead  uint64 // tails at the section's start
	after uint64 // the page behind a part of a compound page
	keep  []run  // pages whose struct pages share a page with an absurd one
}

func (p *part) reset(sec kernel.Section) {
	*p = part{section: sec, drops: p.drops[:0], slab: p.slab[:0], reserved: p.reserved[:0], keep: p.keep[:0]}
}

func appendRun(runs []run, start, end uint64, c Class) []run {
	if n := len(runs); n > 0 && runs[n-1].end == start && runs[n-1].class == c {
		runs[n-1].end = end
		return runs
	}
	return append(runs, run{start, end, c})
}

// maxBroken is how many broken claims make the struct pages of a section
// garbage; each costs reading its block again.
const maxBroken = 64

// worker scans sections, one after the other. Workers share nothing that
// changes.
type worker struct {
	s     *scan
	mem   vmcore.Reader
	space *kernel.Space
	buf   []byte
	known ordinary
	// Offsets in buf of struct pages that are another page's too; doubled where a
	// large page maps them twice.
	shared, doubled []run
}

func (s *scan) newWorker(mem vmcore.Reader) *worker {
	per := chunkBytes / s.layout.Size &^ 1
	return &worker{s: s, mem: mem, space: s.space.With(mem), buf: make([]byte, per*s.layout.Size), known: newOrdinary(s.opt.Level)}
}

// scan judges all pages of RAM in p's section.
func (w *worker) scan(ctx context.Context, p *part) {
	sec, size := p.section, w.s.layout.Size
	per := uint64(len(w.buf)) / size
	ram := w.s.res.RAM
	pfn := sec.Start
	for pfn < sec.End && p.broken() < maxBroken {
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
	if c := &p.claim; c.kind != noClaim {
		p.settle(min(c.end, sec.End))
	}
	w.known.settle(w.s.layout, &p.tally)
	// garbage would be judged by chance
	if t := &p.tally; t.implausible*8 > t.scanned-t.blank || p.broken() >= maxBroken || t.badOrder+t.crooked+p.broken() > maxCrooked {
		p.drops, p.garbage, p.open = p.drops[:0], true, run{}
	}
	if len(p.keep) > 0 {
		p.drops = without(p.drops, p.keep)
	}
}

// maxCrooked is how many blocks of a section may be where none of their size can
// be: other CPUs were stopped in the middle of something. More, and the section
// has other pages' struct pages.
const maxCrooked = 1

// absurd notes that the struct page of pfn, at va, cannot be one. What is in the
// same page of memory as it is not believed either.
func (p *part) absurd(pfn, va, pageSize, size uint64) {
	before := va % pageSize / size
	first := max(p.section.Start, pfn-min(before, pfn))
	last := first + pageSize/size + 1 // a struct page may lie across the border
	if n := len(p.keep); n > 0 && first <= p.keep[n-1].end {
		p.keep[n-1].end = max(last, p.keep[n-1].end)
		return
	}
	p.keep = append(p.keep, run{first, last, Kept})
}

// without takes the pages of keep out of drops; both are sorted.
func without(drops, keep []run) []run {
	var out []run
	for _, d := range drops {
		for len(keep) > 0 && keep[0].end <= d.start {
			keep = keep[1:]
		}
		for _, k := range keep {
			if k.start >= d.end {
				break
			}
			if d.start < k.start {
				out = append(out, run{d.start, k.start, d.class})
			}
			d.start = min(k.end, d.end)
		}
		if d.start < d.end {
			out = append(out, d)
		}
	}
	return out
}

func (p *part) broken() uint64 { return p.tally.badFree + p.tally.badTail }

// judge decides on the pages from start to end, whose struct pages are in b
// from the one of pfn first on. It returns the next page to look at, which is
// one of an earlier part when a claim broke.
func (w *worker) judge(p *part, b []byte, first, start, end uint64) uint64 {
	l, level := w.s.layout, w.s.opt.Level
	size := l.Size
	alone := len(w.shared)+len(w.doubled) == 0
	pfn := start
	for pfn < end {
		at := (pfn - first) * size
		page := b[at : at+size]
		next := page // only a head looks at it, and that is the first of a pair
		if pfn&1 == 0 {
			next = b[at+size : at+2*size]
		}
		if c := &p.claim; c.kind != noClaim {
			if pfn < c.end {
				if n := c.proved(l, b[at:(min(end, c.end)-first)*size]); n > 0 {
					p.tally.scanned += n
					pfn += n
					continue
				}
				if c.inside(l, page, next, p.va(pfn, size)) {
					p.tally.scanned++
					pfn++
					continue
				}
				pfn = p.refuse()
				if p.broken() >= maxBroken {
					return p.section.End
				}
				if pfn < start {
					return pfn
				}
				continue
			}
			p.settle(c.end)
		}
		p.tally.scanned++
		if c := &p.last; c.end == pfn && c.kind != noClaim {
			switch {
			case c.kind == claimFree && l.IsInFree(page):
				p.tally.short++
			case c.kind == claimCompound && l.IsTail(page):
				p.tally.longTail++
			}
		}
		if alone {
			if n := w.known.judge(l, p, b[at:(end-first)*size], pfn); n > 0 {
				p.tally.scanned += n - 1
				pfn += n
				continue
			}
		}
		if l.IsPlain(page) {
			pfn++
			continue
		}
		va := p.va(pfn, size)
		tail := l.IsTail(page) || l.IsForeign(page, next, va)
		if within(w.doubled, at) {
			p.tally.sharedMap++
			pfn++
			continue
		}
		switch {
		case tail && pfn == p.section.Start+p.lead:
			p.lead++
			p.after = pfn + 1
		case tail && pfn != p.after && !l.IsUninit(page):
			p.tally.headless++
			p.after = pfn + 1
		case tail || l.IsHead(page):
			p.after = pfn + 1
		}
		if within(w.shared, at) && !tail && !l.IsHead(page) {
			p.tally.sharedMap++
			pfn++
			continue
		}
		v := decide(l, level, page, next, pfn, va, &p.tally)
		w.first(p, page, pfn, v)
		switch {
		case v.absurd:
			p.absurd(pfn, va, w.s.pageSize, size)
		case v.claim != noClaim && v.class != Kept:
			p.claim = claim{run{pfn, pfn + v.n, v.class}, v.claim, l.TailWord(next)}
		case v.class != Kept:
			p.drops = appendRun(p.drops, pfn, pfn+1, v.class)
		}
		pfn++
	}
	return pfn
}

// va is the address of the struct page of pfn.
func (p *part) va(pfn, size uint64) uint64 { return p.section.Map + (pfn-p.section.Start)*size }

// first notes what goes first of what stays.
func (w *worker) first(p *part, page []byte, pfn uint64, v verdict) {
	if v.class != Kept || w.s.layout.IsTail(page) {
		return
	}
	switch l := w.s.layout; {
	case l.IsSlab(page):
		p.slab = appendRun(p.slab, pfn, pfn+max(v.n, 1), Kept)
	case l.IsReserved(page):
		p.reserved = appendRun(p.reserved, pfn, pfn+1, Kept)
	}
}
