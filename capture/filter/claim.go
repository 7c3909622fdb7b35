package filter

import "github.com/gokdump/gokdump/capture/kernel"

// claim is a block of pages whose first one was judged for all of them.
type claim struct {
	run
	kind claimKind
	word uint64 // of all tails
}

// settle believes the claim up to end, which is behind its end only where the
// section is.
func (p *part) settle(end uint64) {
	c := p.claim
	p.drops = appendRun(p.drops, c.start, end, c.class)
	if c.end > end && c.kind == claimCompound {
		p.open = run{end, c.end, c.class}
	}
	p.last, p.claim = c, claim{}
	if c.kind == claimCompound {
		p.after = end
	}
}

// proved is how many pages of the block, from the one on whose struct page
// starts b, are surely inside it.
func (c *claim) proved(l *kernel.PageLayout, b []byte) uint64 {
	if c.kind == claimFree {
		return l.FreeRun(b)
	}
	return l.TailRun(b, c.word)
}

// inside tells whether a page may be one of the block behind its first.
func (c *claim) inside(l *kernel.PageLayout, page, next []byte, va uint64) bool {
	if c.kind == claimFree {
		return l.IsInFree(page)
	}
	return l.IsForeign(page, next, va) // the head once more
}

// refuse gives up the claim: its pages are judged one by one, but for the
// first, which stays. It returns the page to go on with.
func (p *part) refuse() uint64 {
	c := p.claim
	p.claim = claim{}
	p.after = c.start + 1
	if c.kind == claimFree {
		p.tally.badFree++
	} else {
		p.tally.badTail++
	}
	return c.start + 1
}
