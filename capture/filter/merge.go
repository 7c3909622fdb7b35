package filter

import (
	"context"
	"sync"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// sections scans all sections and takes their results in order, so that the
// outcome does not depend on the number of workers.
func (s *scan) sections(ctx context.Context, r vmcore.Reader) error {
	if min(s.opt.Workers, len(s.memmap.Sections)) <= 1 {
		w, p := s.newWorker(r), new(part)
		for _, sec := range s.memmap.Sections {
			p.reset(sec)
			w.scan(ctx, p)
			if p.err != nil {
				return p.err
			}
			s.take(p)
		}
		return nil
	}
	return s.parallel(ctx)
}

// job is one section on its way: a worker puts the part into out.
type job struct {
	part *part
	out  chan *part
}

func (s *scan) parallel(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	n := min(s.opt.Workers, len(s.memmap.Sections))
	work, queue := make(chan job), make(chan job, 2*n)
	var wg sync.WaitGroup
	readers := make([]vmcore.Reader, 0, n)
	defer func() {
		cancel()
		wg.Wait()
		for _, r := range readers {
			r.Close()
		}
	}()
	for range n {
		r, err := s.src.NewReader()
		if err != nil {
			if len(readers) > 0 {
				break // fewer will do
			}
			return err
		}
		readers = append(readers, r)
		w := s.newWorker(r)
		wg.Go(func() {
			for j := range work {
				w.scan(ctx, j.part)
				j.out <- j.part
			}
		})
	}
	spare := make(chan *part, 3*n+2) // parts to use again: memory stays bounded
	wg.Go(func() {
		defer close(queue)
		defer close(work)
		for _, sec := range s.memmap.Sections {
			var p *part
			select {
			case p = <-spare:
			default:
				p = new(part)
			}
			p.reset(sec)
			j := job{p, make(chan *part, 1)}
			select {
			case queue <- j:
			case <-ctx.Done():
				return
			}
			work <- j // workers do not stop before work is closed
		}
	})
	for j := range queue {
		p := <-j.out
		if p.err != nil {
			return p.err
		}
		s.take(p)
		select {
		case spare <- p:
		default:
		}
	}
	return ctx.Err()
}

// take adds the result of one section.
func (s *scan) take(p *part) {
	s.total.add(&p.tally)
	if p.garbage {
		s.garbage++
	}
	if p.unread != nil && s.unreadBy == nil {
		s.unreadBy = p.unread
	}
	for _, d := range p.drops {
		s.drop(d)
	}
	for _, r := range p.slab {
		s.slab.AddRange(r.start, r.end)
	}
	for _, r := range p.reserved {
		s.first.AddRange(r.start, r.end)
	}
	if s.opt.Progress != nil {
		s.done += s.res.RAM.LenRange(p.section.Start, p.section.End)
		s.opt.Progress(s.done, s.res.RAM.Len())
	}
}

// drop takes a run out of Keep, but for what is pinned.
func (s *scan) drop(d run) {
	end := min(d.end, s.res.RAM.Limit())
	if d.start >= end {
		return
	}
	if s.pinned.LenRange(d.start, end) == 0 {
		s.res.Counts[d.class] += s.res.Keep.LenRange(d.start, end)
		s.res.Keep.RemoveRange(d.start, end)
		return
	}
	for pfn := d.start; pfn < end; pfn++ {
		switch {
		case !s.res.Keep.Has(pfn):
		case !s.pinned.Has(pfn):
			s.res.Keep.Remove(pfn)
			s.res.Counts[d.class]++
		case !s.image.Has(pfn):
			s.pinHits++
		}
	}
}

// judge holds the outcome against what every kernel must have.
func (s *scan) judge() {
	t := &s.total
	must := s.pinned.Len() - s.image.Len()
	switch {
	case s.pinHits > 0 && s.pinHits*100 > must:
		s.res.Keep = s.res.RAM.Clone()
		clear(s.res.Counts)
		s.warn("%d of %d pages that hold page tables and struct pages look like pages to drop, so the struct pages are not understood: all pages are kept", s.pinHits, must)
		return
	case s.pinHits > 0:
		s.warn("%d pages that hold page tables or struct pages look like pages to drop: they are kept", s.pinHits)
	}
	if s.garbage > 0 {
		s.warn("the struct pages of %d of %d memory sections look like garbage: their pages are kept", s.garbage, len(s.memmap.Sections))
	}
	if t.unread > 0 {
		s.warn("%d struct pages cannot be read (%v): their pages are kept", t.unread, s.unreadBy)
	}
	if t.implausible > 0 && s.garbage == 0 {
		s.warn("%d of %d struct pages hold values that cannot be: their pages are kept", t.implausible, t.scanned)
	}
	if t.badOrder > 0 {
		s.warn("%d free blocks have an order that cannot be (%d or more, or not aligned): they are kept", t.badOrder, s.layout.FreeOrders)
	}
	// a running machine never has all its memory in use
	if s.opt.Level&LevelFree != 0 && t.free == 0 && t.scanned*s.pageSize >= 64<<20 {
		s.warn("not one free page was found in %d MiB of memory: free pages of this kernel are not recognised and kept", t.scanned*s.pageSize>>20)
	}
}
