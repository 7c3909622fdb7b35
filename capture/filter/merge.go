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
				if err := fence(func() error { w.scan(ctx, j.part); return nil }); err != nil {
					j.part.err = err
				}
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
	s.carry(p)
	for _, d := range p.drops {
		s.drop(d)
	}
	s.addSlab(p)
	for _, r := range p.reserved {
		s.first.AddRange(r.start, r.end)
	}
	if s.opt.Progress != nil {
		s.done += s.res.RAM.LenRange(p.section.Start, p.section.End)
		if s.done > s.told { // a second scan starts anew
			s.told = s.done
			s.opt.Progress(s.done, s.ramPages)
		}
	}
}

// addSlab notes slab as long as it may go first: in a large machine the set itself
// would be large.
func (s *scan) addSlab(p *part) {
	if s.slab == nil {
		return
	}
	before := s.slab.LenRange(p.section.Start, p.section.End)
	for _, r := range p.slab {
		s.slab.AddRange(r.start, r.end)
	}
	s.slabPages += s.slab.LenRange(p.section.Start, p.section.End) - before
	if s.slabPages*s.pageSize > slabFirst {
		s.slab = nil
	}
}

// carry goes on with a compound page that reaches into p's section from the one
// before: as far as the section starts with tails.
func (s *scan) carry(p *part) {
	if c := s.open; c.end > c.start && p.section.Start == c.start {
		to := min(c.end, p.section.End)
		if p.garbage || p.section.Start+p.lead < to {
			s.total.badTail++
			s.open = run{}
		} else {
			s.drop(run{c.start, to, c.class})
			s.open.start = to
		}
	} else if c.end > c.start {
		s.total.badTail++
		s.open = run{}
	}
	if p.open.end > 0 {
		s.open = p.open
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
			if d.class == Offline {
				s.pinOffline++
			}
		}
	}
}
