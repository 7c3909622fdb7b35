package filter

import "github.com/gokdump/gokdump/capture/kernel"

// ordinary judges the pages that [kernel.PageLayout.OrdinaryRun] tells of, as [decide]
// would, but by a table, and counts them by kind.
type ordinary struct {
	class [kernel.OrdinaryKinds]Class
	count [kernel.OrdinaryKinds]uint64
	kinds [256]kernel.Ordinary // of the pages looked at last
}

// newOrdinary makes the table for a dump level.
func newOrdinary(level int) (o ordinary) {
	for k := range o.class {
		kind := kernel.Ordinary(k)
		private := kind&kernel.OrdinaryPrivate != 0
		switch {
		case kind&kernel.OrdinaryAnon != 0:
			if level&LevelUser != 0 {
				o.class[k] = User
			}
		case private && level&LevelCachePrivate != 0:
			o.class[k] = CachePrivate
		case !private && level&(LevelCache|LevelCachePrivate) != 0:
			o.class[k] = Cache
		}
	}
	return o
}

// judge decides on the pages from pfn on whose struct pages are in b, as long as they
// are ordinary ones, and returns how many those are.
func (o *ordinary) judge(l *kernel.PageLayout, p *part, b []byte, pfn uint64) (n uint64) {
	for {
		kinds := o.kinds[:l.OrdinaryRun(o.kinds[:], b[n*l.Size:])]
		start, class := pfn+n, Kept // of the run of one class that goes on
		for _, k := range kinds {
			k %= kernel.OrdinaryKinds
			o.count[k]++
			if c := o.class[k]; c != class {
				if class != Kept {
					p.drops = appendRun(p.drops, start, pfn+n, class)
				}
				start, class = pfn+n, c
			}
			n++
		}
		if class != Kept {
			p.drops = appendRun(p.drops, start, pfn+n, class)
		}
		if len(kinds) < len(o.kinds) {
			return n
		}
	}
}

// settle adds to t what [tally.lists] would have counted, and counts from 0 again.
func (o *ordinary) settle(l *kernel.PageLayout, t *tally) {
	for k, n := range o.count {
		kind := kernel.Ordinary(k)
		t.listed += n
		t.mapped += n
		t.both += n
		if kind&kernel.OrdinaryBelow == 0 {
			t.offBelow += n
		}
		if kind&kernel.OrdinaryAbove == 0 {
			t.offAbove += n
		}
		if kind&kernel.OrdinaryAnon == 0 {
			continue
		}
		t.anon += n
		if l.KnowsBacked() {
			t.marked += n
			if kind&kernel.OrdinaryBacked != 0 {
				t.backed += n
			}
		}
	}
	clear(o.count[:])
}
