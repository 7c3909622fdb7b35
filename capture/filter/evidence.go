package filter

import "github.com/gokdump/gokdump/capture/kernel"

// tally counts what happened while deciding. What contradicts itself speaks
// against the numbers that the kernel gave of its struct pages.
type tally struct {
	scanned     uint64 // struct pages that were judged
	implausible uint64 // what cannot be a struct page
	blank       uint64 // struct pages that nobody ever wrote
	unread      uint64 // struct pages that could not be read

	free     uint64 // blocks of free pages
	badOrder uint64 // of these, with an order that cannot be
	badFree  uint64 // of these, with something else inside
	short    uint64 // of these, with free pages behind their end

	unaccepted uint64 // blocks that the guest did not accept yet; counted as free where bad

	noOrder        uint64 // heads of compound pages without a usable order
	crooked        uint64 // of these, not aligned to the order they say
	badTail        uint64 // compound pages with something else inside
	longTail       uint64 // compound pages with tails behind their end
	saysHuge       uint64 // compound pages that claim to be hugetlb
	notHuge        uint64 // of these, slab or on an LRU list or too small
	loose          uint64 // compound pages of files on no LRU list, and not hugetlb
	headless       uint64 // tails behind a page that is no part of a compound page
	listed         uint64 // pages on an LRU list
	bare           uint64 // of these, of no process and no file
	mapped         uint64 // pages of processes and files
	both           uint64 // of these, on an LRU list
	off            uint64 // of mapped, without PG_lru
	offBelow       uint64 // of mapped, without the flag below that
	offAbove       uint64 // of mapped, without the flag above that
	oddSlab        uint64 // slab on an LRU list
	anon           uint64 // anonymous pages
	marked         uint64 // of these, those of which it is known whether swap backs them
	backed         uint64 // of these, backed by swap
	poisoned       uint64 // pages with a memory error
	poisonSure     uint64 // of these, what nothing else looks like
	poisonOdd      uint64 // of these, what the kernel would have taken out of use
	poisonHint     uint64 // pages that may have a memory error by a flag that is not PG_hwpoison
	unacceptedHint uint64 // blocks that a guest did not accept yet by what other kernels have
	idleOffline    uint64 // pages out of use that nobody refers to
	sharedMap      uint64 // pages whose struct page is another's, too
}

func (t *tally) add(o *tally) {
	t.scanned += o.scanned
	t.implausible += o.implausible
	t.blank += o.blank
	t.unread += o.unread
	t.free += o.free
	t.unaccepted += o.unaccepted
	t.badOrder += o.badOrder
	t.badFree += o.badFree
	t.short += o.short
	t.noOrder += o.noOrder
	t.badTail += o.badTail
	t.crooked += o.crooked
	t.longTail += o.longTail
	t.saysHuge += o.saysHuge
	t.notHuge += o.notHuge
	t.mapped += o.mapped
	t.loose += o.loose
	t.headless += o.headless
	t.listed += o.listed
	t.bare += o.bare
	t.both += o.both
	t.off += o.off
	t.offBelow += o.offBelow
	t.offAbove += o.offAbove
	t.anon += o.anon
	t.oddSlab += o.oddSlab
	t.backed += o.backed
	t.poisoned += o.poisoned
	t.poisonSure += o.poisonSure
	t.poisonOdd += o.poisonOdd
	t.poisonHint += o.poisonHint
	t.unacceptedHint += o.unacceptedHint
	t.idleOffline += o.idleOffline
	t.marked += o.marked
	t.sharedMap += o.sharedMap
}

// maxIsolated is how many pages may be on their way to an LRU list or off it
// before it is asked whether PG_lru is right.
const maxIsolated = 512

// doubts weighs the evidence of a whole scan. A sound kernel has none of these
// contradictions, but for what was under way on some CPU when it died; so a
// share of them is allowed. The words tell what was seen and what follows.
func (s *scan) doubts() (d kernel.Doubt) {
	t := &s.total
	if wrong, free := t.badOrder+t.badFree, t.free+t.unaccepted; wrong*16 > free {
		d |= kernel.DoubtFree
		s.warn("%d of %d blocks of free pages have an order that cannot be (%d or more, or not aligned), or something else inside: free pages are not believed and kept", wrong, free, s.layout.FreeOrders)
	} else if t.free >= 16 && t.short*2 > t.free {
		d |= kernel.DoubtFree
		s.warn("%d of %d blocks of free pages have more free pages behind their end, so their orders are wrong: free pages are not believed and kept", t.short, t.free)
	}
	if s.opt.Level&(LevelCache|LevelCachePrivate) != 0 {
		switch {
		case t.both*2 < t.mapped:
			d |= kernel.DoubtCache
			s.warn("by PG_lru only %d of %d pages of processes and files are on an LRU list, so it is not believed: page cache is kept", t.both, t.mapped)
		case t.off > maxIsolated && min(t.offBelow, t.offAbove)*8 < t.off:
			d |= kernel.DoubtCache
			s.warn("%d pages of processes and files are without PG_lru, only %d without the flag next to it, so it is not believed: page cache is kept", t.off, min(t.offBelow, t.offAbove))
		case t.bare*4 > t.listed:
			d |= kernel.DoubtCache
			s.warn("%d of %d pages on LRU lists belong to no process and no file, so OFFSET(page.mapping) or PG_lru is not believed: page cache is kept", t.bare, t.listed)
		case t.anon == 0 && t.listed > 4*maxIsolated:
			d |= kernel.DoubtCache
			s.warn("not one of %d pages on LRU lists is anonymous, so OFFSET(page.mapping) or PG_lru is not believed: page cache is kept", t.listed)
		}
	}
	if s.opt.Level&(LevelCache|LevelCachePrivate|LevelUser) != 0 && d&kernel.DoubtCache == 0 && t.backed*2 < t.marked {
		d |= kernel.DoubtSwap
		s.warn("by PG_swapbacked only %d of %d anonymous pages are backed by swap, so it is not believed: swap cache and anonymous pages that are on no list are kept", t.backed, t.marked)
	}
	if s.opt.Level&LevelUser != 0 && t.notHuge*16 > t.saysHuge {
		d |= kernel.DoubtHuge
		s.warn("%d of %d compound pages that claim to be hugetlb are slab, on an LRU list or too small: hugetlb pages are not believed and kept", t.notHuge, t.saysHuge)
	}
	switch unsure := s.layout.PoisonUnsure(); {
	case unsure && t.poisonSure < t.poisoned, t.poisonOdd*2 > t.poisoned, t.poisoned*8 > t.scanned:
		d |= kernel.DoubtPoison
		s.warn("%d of %d pages claim a memory error by PG_hwpoison, but only %d look like it, and %d are in use or free, so it is not believed: they are kept", t.poisoned, t.scanned, t.poisonSure, t.poisonOdd)
	}
	if s.pinOffline > 0 {
		d |= kernel.DoubtOffline
		s.warn("%d pages that hold page tables or struct pages are out of use by PAGE_OFFLINE_MAPCOUNT_VALUE, so it is not believed: such pages are kept", s.pinOffline)
	}
	return d
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
	for _, w := range []struct {
		n    uint64
		text string
	}{
		{t.sharedMap, "%d pages have struct pages that are another page's too: they are kept"},
		{t.blank, "%d struct pages were never written: their pages are kept"},
		{t.badOrder, "%d free blocks have an order that cannot be: they are kept"},
		{t.badFree, "%d free blocks have something else inside: they are kept"},
		{t.badTail, "%d compound pages have something else inside: they are kept"},
		{t.longTail, "%d compound pages are longer than they say: their ends are kept"},
		{t.oddSlab, "%d pages on LRU lists are slab by PG_slab: they are kept"},
		{t.headless, "%d tails of compound pages have no head before them: they are kept"},
		{t.loose * uint64(s.opt.Level&LevelUser/LevelUser), "%d compound pages of files are on no LRU list and not known as hugetlb: they are kept"},
		{t.poisonHint, "%d pages have the flag that is PG_hwpoison by the other flags: if it tells of memory errors, they are kept"},
		{t.unacceptedHint * uint64(s.opt.Level&LevelFree/LevelFree), "%d blocks look like ones that the guest did not accept yet, of which VMCOREINFO does not tell: they are kept"},
		{t.idleOffline, "%d pages are out of use by PAGE_OFFLINE_MAPCOUNT_VALUE, but nobody refers to them: they are kept"},
		{t.noOrder, "%d compound pages have no usable order: all but their first page is kept"},
	} {
		if w.n > 0 {
			s.warn(w.text, w.n)
		}
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
	// a running machine never has all its memory in use
	if s.opt.Level&LevelFree != 0 && s.doubt&kernel.DoubtFree == 0 && t.free == 0 && t.scanned*s.pageSize >= 64<<20 {
		s.warn("not one free page was found in %d MiB of memory: free pages of this kernel are not recognised and kept", t.scanned*s.pageSize>>20)
	}
}
