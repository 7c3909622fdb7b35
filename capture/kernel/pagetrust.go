package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Doubt is a set of marks that evidence speaks against.
type Doubt uint8

// What can be doubted; see [PageLayout.Without].
const (
	DoubtFree    Doubt = 1 << iota // blocks of the buddy allocator
	DoubtCache                     // page cache
	DoubtHuge                      // hugetlb pages
	DoubtPoison                    // pages with a memory error
	DoubtSwap                      // pages of the swap cache
	DoubtOffline                   // pages that a balloon took
)

// Without returns a layout that does not recognise what is in doubt.
func (l *PageLayout) Without(d Doubt) *PageLayout {
	c := *l
	if d&DoubtFree != 0 {
		c.types.buddy, c.types.unaccepted = pageType{}, pageType{}
	}
	if d&DoubtCache != 0 {
		c.lru, c.swapcache = 0, 0
	}
	if d&DoubtSwap != 0 {
		c.swapcache = 0
	}
	if d&DoubtHuge != 0 {
		c.types.hugetlb, c.hugetlb, c.dtor = pageType{}, 0, -1
	}
	if d&DoubtPoison != 0 {
		c.hwpoison = 0
	}
	if d&DoubtOffline != 0 {
		c.types.offline = pageType{}
	}
	c.mark()
	return &c
}

// IsBlank tells that nothing was ever written to this struct page.
func (l *PageLayout) IsBlank(p []byte) bool {
	return l.f(p)|l.m(p)|uint64(l.t(p))|uint64(l.refs(p))|binary.LittleEndian.Uint64(p[l.head:]) == 0
}

// IsInFree tells that the page may lie inside a block of free pages: it says
// nothing of its own, and nobody refers to it.
func (l *PageLayout) IsInFree(p []byte) bool {
	return l.f(p)&l.inFree == 0 && l.t(p) == ^uint32(0) && p[l.head]&1 == 0 && (!l.hasRefcount || l.refs(p) == 0)
}

// FreeRun is how many of the struct pages in b, from its start on, may lie
// inside a block of free pages; see [PageLayout.IsInFree].
func (l *PageLayout) FreeRun(b []byte) (n uint64) {
	le := binary.LittleEndian
	flags, mapcount, head, refcount := l.flags, l.mapcount, l.head, l.refcount
	want := uint32(0)
	if !l.hasRefcount {
		want = ^want // refcount is mapcount then
	}
	for size := int(l.Size); len(b) >= size; b = b[size:] {
		p := b[:size]
		if le.Uint64(p[flags:])&l.inFree != 0 || le.Uint32(p[mapcount:]) != ^uint32(0) || p[head]&1 != 0 || le.Uint32(p[refcount:]) != want {
			break
		}
		n++
	}
	return n
}

// TailRun is how many of the struct pages in b, from its start on, are tails
// that belong together with a tail whose [PageLayout.TailWord] is word.
func (l *PageLayout) TailRun(b []byte, word uint64) (n uint64) {
	if word&1 == 0 {
		return 0
	}
	for at := uint64(l.head); at < uint64(len(b)) && binary.LittleEndian.Uint64(b[at:]) == word; at += l.Size {
		n++
	}
	return n
}

// TailWord is what all tails of one compound page have in common.
func (l *PageLayout) TailWord(p []byte) uint64 { return binary.LittleEndian.Uint64(p[l.head:]) }

// IsForeign tells that p, at address va, is no head of a compound page though
// it looks like one: the tail behind it belongs to another. Where hugetlb
// pages share their struct pages, the first of them shows up many times.
func (l *PageLayout) IsForeign(p, next []byte, va uint64) bool {
	return l.pointers && l.IsHead(p) && l.IsTail(next) && binary.LittleEndian.Uint64(next[l.head:])&^1 != va
}

// IsMapped tells that the page belongs to a process or a file, as one that
// should be on an LRU list does.
func (l *PageLayout) IsMapped(p []byte) bool {
	m := l.m(p)
	// with bit 1 it is movable and on no list
	return m>>63 != 0 && m&2 == 0 && !l.IsSlab(p) && (!l.hasRefcount || l.refs(p) > 0)
}

// IsBacked tells that the page is backed by swap, as anonymous ones are; known
// is false when the kernel does not let us know.
func (l *PageLayout) IsBacked(p []byte) (yes, known bool) {
	return l.f(p)&l.swapbacked != 0, l.KnowsBacked()
}

// ListBits gives the flag PG_lru, and the flags below and above it: a number that
// is off by one is found by how much better a neighbour fits.
func (l *PageLayout) ListBits(p []byte) (lru, below, above bool) {
	f := l.f(p)
	return f&l.lru != 0, f&(l.lru>>1) != 0, f&(l.lru<<1) != 0
}

// IsListedSlab tells that a page of the slab allocator is on an LRU list, where it
// has no business.
func (l *PageLayout) IsListedSlab(p []byte) bool { return l.IsSlab(p) && l.f(p)&l.lru != 0 }

// IsBare tells that the page belongs to no process and no file.
func (l *PageLayout) IsBare(p []byte) bool { return l.m(p) == 0 }

// IsCrooked tells that the compound page whose second struct page is next, and
// whose first is pfn, has an order that is sound but for its alignment.
func (l *PageLayout) IsCrooked(next []byte, pfn uint64) bool {
	if l.order < 0 || !l.IsTail(next) {
		return false
	}
	order := uint(next[l.order])
	return order > 0 && order <= 34-l.pageShift && pfn&(1<<order-1) != 0
}

// Witness collects the struct pages of memory that was reserved when the
// kernel booted, as its image and its struct pages themselves are. It is known
// what they say: PG_reserved, a _mapcount of -1, a _refcount of 1, no mapping
// (mm/mm_init.c, __init_single_page and reserve_bootmem_region). A layout by
// which they say anything else is wrong.
type Witness struct {
	l                       *PageLayout
	n, mapcount, refs, both int
	pointer                 int
	bits                    [32]int // of flags, of those that agree
}

// Witness begins a collection for l.
func (l *PageLayout) Witness() *Witness { return &Witness{l: l} }

// Len is the number of struct pages that were added.
func (w *Witness) Len() int { return w.n }

// Add looks at one struct page.
func (w *Witness) Add(p []byte) {
	l := w.l
	if l.IsUninit(p) {
		return
	}
	w.n++
	one, ref := l.t(p) == ^uint32(0), l.refs(p) == 1 || !l.hasRefcount
	if one && l.m(p) == 0 {
		w.mapcount++
	}
	if ref {
		w.refs++
	}
	if !one || !ref || l.m(p) != 0 || p[l.head]&1 != 0 {
		return
	}
	w.both++
	f := l.f(p)
	if f>>48 == 0xffff {
		w.pointer++
	}
	for i := range w.bits {
		w.bits[i] += int(f >> i & 1)
	}
}

// Verdict is the layout that the witnesses leave, with what they speak against
// in words. It is an error when they do not fit the layout at all, or when
// there are none.
func (w *Witness) Verdict() (*PageLayout, []string, error) {
	l := w.l
	switch few := w.n / 4; {
	case w.n == 0:
		return nil, nil, errors.New("no struct page of the kernel's own memory can be read, so nothing proves that struct pages are understood")
	case w.both <= few && w.mapcount > few && l.hasRefcount:
		return nil, nil, fmt.Errorf("%d of %d struct pages of the kernel's own memory have a _refcount of 1: OFFSET(page._refcount) or SIZE(page) is wrong", w.refs, w.n)
	case w.both <= few:
		return nil, nil, fmt.Errorf("%d of %d struct pages of the kernel's own memory have a _mapcount of -1 and no mapping: an offset in struct page, SIZE(page) or mem_section is wrong", w.mapcount, w.n)
	case w.pointer > w.both/2:
		return nil, nil, fmt.Errorf("the flags of %d of %d struct pages of the kernel's own memory are addresses: OFFSET(page.flags) is wrong", w.pointer, w.both)
	}
	most := func(bit int) bool { return bit < len(w.bits) && w.bits[bit] > w.both/4*3 }
	some := false
	for i := range w.bits {
		if most(i) {
			some = true
			if l.reserved == 1<<i {
				return l, nil, nil
			}
		}
	}
	if !some {
		return nil, nil, fmt.Errorf("%d struct pages of the kernel's own memory have no flag in common: OFFSET(page.flags) is wrong", w.both)
	}
	if l.privateBit == 0 { // page cache is off already
		return l, nil, nil
	}
	c := l.Without(DoubtCache)
	return c, []string{"PG_reserved of the kernel's own memory is not next to PG_private: PG_private is not believed and page cache is kept"}, nil
}
