package filter

import "github.com/gokdump/gokdump/capture/kernel"

// verdict is what one struct page says.
type verdict struct {
	class  Class
	n      uint64 // how many pages from this one on share the class, if claim
	claim  claimKind
	absurd bool // cannot be a struct page
}

// claimKind is what the struct pages of a block must look like behind its first
// one, for the block to be believed.
type claimKind uint8

const (
	noClaim       claimKind = iota // one page, which speaks for itself
	claimFree                      // pages that say nothing and are referred to by nobody
	claimCompound                  // tails
)

// decide judges the page whose struct page is p, at address va; next is the
// struct page after it. A verdict about more than one page is a claim, to be
// proved by the struct pages of the others. The order of the tests is
// makedumpfile's, first match wins.
func decide(l *kernel.PageLayout, level int, p, next []byte, pfn, va uint64, t *tally) verdict {
	if l.IsUninit(p) {
		t.blank++
		return verdict{}
	}
	if !l.Plausible(p, va) {
		t.implausible++
		return verdict{absurd: true}
	}
	if l.IsTail(p) || l.IsForeign(p, next, va) {
		// its head has spoken for it, but for errors of memory: they are noted
		// on the page itself, and reading it could kill the capture kernel
		if l.IsTail(p) {
			t.poisonHint += odd(l.HintsPoison(p))
			if l.IsPoisoned(p) {
				t.poisoned++
				return verdict{class: HWPoison, n: 1}
			}
		}
		return verdict{}
	}
	t.poison(l, p)
	if l.IsBlank(p) {
		t.blank++
		return verdict{}
	}
	if level&LevelFree != 0 {
		if order, ok := l.IsFree(p); ok {
			t.free++
			if order >= l.FreeOrders || pfn&(1<<order-1) != 0 {
				t.badOrder++
				return verdict{}
			}
			return verdict{class: Free, n: 1 << order, claim: claimFree}
		}
		if l.IsUnaccepted(p) {
			t.unaccepted++
			if pfn&(1<<(l.FreeOrders-1)-1) != 0 {
				t.badOrder++
				return verdict{}
			}
			return verdict{class: Free, n: 1 << (l.FreeOrders - 1), claim: claimFree}
		}
	}
	t.unacceptedHint += odd(l.HintsUnaccepted(p))
	v := verdict{n: 1}
	huge := false
	if l.IsHead(p) {
		var order uint
		order, huge = l.Compound(p, next, pfn)
		if order > 0 {
			v.n, v.claim = 1<<order, claimCompound
		} else {
			t.noOrder++
			if l.IsCrooked(next, pfn) {
				t.crooked++
			}
		}
		if l.SaysHuge(p, next) {
			t.saysHuge++
			if !huge {
				t.notHuge++
			}
		}
	}
	anon := l.IsAnon(p)
	if !huge && !l.IsReserved(p) { // flags of the kernel image are known to lie
		t.lists(l, p, anon)
	}
	v.class = one(l, level, p, anon, huge)
	switch {
	case v.class == HWPoison && !huge: // the flag is the page's own, but a hugetlb page's is all of its pages'
		v.n, v.claim = 1, noClaim
	case v.class == Kept && l.IsIdleOffline(p):
		t.idleOffline++
	}
	return v
}

// poison counts how pages with memory errors look.
func (t *tally) poison(l *kernel.PageLayout, p []byte) {
	if l.IsPoisoned(p) {
		sure, strange := l.Poison(p)
		t.poisoned++
		t.poisonSure += odd(sure)
		t.poisonOdd += odd(strange)
	}
	t.poisonHint += odd(l.HintsPoison(p))
}

// lists counts what LRU lists and mappings say of each other.
func (t *tally) lists(l *kernel.PageLayout, p []byte, anon bool) {
	if l.IsListedSlab(p) {
		t.oddSlab++
	}
	listed := l.IsCache(p)
	if listed {
		t.listed++
		if l.IsBare(p) {
			t.bare++
		}
	}
	if l.IsMapped(p) {
		t.mapped++
		if lru, below, above := l.ListBits(p); !lru || !below || !above {
			t.off += odd(!lru)
			t.offBelow += odd(!below)
			t.offAbove += odd(!above)
		}
		if listed {
			t.both++
		} else if !anon && l.IsHead(p) {
			t.loose++
		}
	}
	t.anon += odd(anon)
	if backed, known := l.IsBacked(p); anon && known {
		t.marked++
		if backed {
			t.backed++
		}
	}
}

func odd(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// one is the class of a page that is not free.
func one(l *kernel.PageLayout, level int, p []byte, anon, huge bool) Class {
	if level&(LevelCache|LevelCachePrivate) != 0 && !anon && l.IsCache(p) {
		private := l.IsPrivate(p)
		switch {
		case level&LevelCachePrivate != 0 && private:
			return CachePrivate
		case !private:
			return Cache
		}
	}
	switch {
	case level&LevelUser != 0 && (anon || huge):
		return User
	case l.IsPoisoned(p):
		return HWPoison
	case l.IsOffline(p):
		return Offline
	}
	return Kept
}
