package filter

import "github.com/gokdump/gokdump/capture/kernel"

// tally counts what happened while deciding.
type tally struct {
	scanned     uint64 // struct pages that were judged
	free        uint64 // blocks of free pages
	badOrder    uint64 // free blocks whose order cannot be
	implausible uint64 // what cannot be a struct page
	unread      uint64 // struct pages that could not be read
}

func (t *tally) add(o *tally) {
	t.scanned += o.scanned
	t.free += o.free
	t.badOrder += o.badOrder
	t.implausible += o.implausible
	t.unread += o.unread
}

// decide judges the page whose struct page is p; next is the struct page after
// it. It returns what the page is and how many pages from it on share that:
// more than one for free blocks and compound pages. The order of the tests is
// makedumpfile's, first match wins.
func decide(l *kernel.PageLayout, level int, p, next []byte, pfn uint64, t *tally) (Class, uint64) {
	if l.IsUninit(p) {
		return Kept, 1
	}
	if l.IsTail(p) {
		// its head has spoken for it, but for errors of memory: they are noted
		// on the page itself, and reading it could kill the capture kernel
		if l.IsPoisoned(p) {
			return HWPoison, 1
		}
		return Kept, 1
	}
	if !l.Plausible(p) {
		t.implausible++
		return Kept, 1
	}
	if level&LevelFree != 0 {
		if order, ok := l.IsFree(p); ok {
			if order >= l.FreeOrders || pfn&(1<<order-1) != 0 {
				t.badOrder++
				return Kept, 1
			}
			t.free++
			return Free, 1 << order
		}
		if l.IsUnaccepted(p) && pfn&(1<<(l.FreeOrders-1)-1) == 0 {
			return Free, 1 << (l.FreeOrders - 1)
		}
	}
	n, huge := uint64(1), false
	if l.IsHead(p) {
		var order uint
		order, huge = l.Compound(p, next, pfn)
		n <<= order
	}
	anon := l.IsAnon(p)
	if level&(LevelCache|LevelCachePrivate) != 0 && !anon && l.IsCache(p) {
		private := l.IsPrivate(p)
		switch {
		case level&LevelCachePrivate != 0 && private:
			return CachePrivate, n
		case !private:
			return Cache, n
		}
	}
	switch {
	case level&LevelUser != 0 && (anon || huge):
		return User, n
	case l.IsPoisoned(p):
		return HWPoison, n
	case l.IsOffline(p):
		return Offline, n
	}
	return Kept, n
}
