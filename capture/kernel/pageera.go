package kernel

import (
	"encoding/binary"
	"math"
)

// readBits takes the numbers of the flags.
func (l *PageLayout) readBits(info *Info) {
	bit := func(name string) uint64 {
		n, ok := info.Number(name)
		if !ok || n < 0 || n > 63 {
			return 0
		}
		return 1 << n
	}
	l.lru, l.privateBit = bit("PG_lru"), bit("PG_private")
	l.slab, l.hwpoison = bit("PG_slab"), bit("PG_hwpoison")
	l.reserved = l.privateBit >> 1
	// PG_swapcache shares its bit with others; with PG_swapbacked it is sure
	if c, b := bit("PG_swapcache"), bit("PG_swapbacked"); c != 0 && b != 0 {
		l.swapcache = c | b
	}
	if l.lru == 0 || l.privateBit == 0 {
		l.lru, l.swapcache = 0, 0
		l.unknown("PG_lru or PG_private is not exported: page cache is not recognised and kept")
	} else if l.swapcache == 0 {
		l.unknown("PG_swapcache or PG_swapbacked is not exported: swap cache that is on no list is kept")
	}
	if m, ok := info.Number("PG_head_mask"); ok && m != 0 {
		l.headMask = uint64(m)
	} else {
		l.unknown("PG_head_mask is not exported: of compound pages only the first is dropped")
	}
}

// readTypes takes the values of _mapcount that stand for a use. A value that
// could be a count would mark innocent pages and is refused.
func (l *PageLayout) readTypes(info *Info) {
	typ := func(name string) pageType {
		v, ok := info.Number(name)
		if !ok {
			return pageType{}
		}
		if v > math.MaxUint32 || v < math.MinInt32 || int32(v) >= -1 {
			l.unknown("%s is %d, which cannot be: these pages are kept", name, v)
			return pageType{}
		}
		if uint32(v)&(1<<24-1) == 0 {
			return pageType{uint32(v) >> 24, 24}
		}
		return pageType{uint32(v), 0}
	}
	l.types = pageTypes{
		buddy:      typ("PAGE_BUDDY_MAPCOUNT_VALUE"),
		offline:    typ("PAGE_OFFLINE_MAPCOUNT_VALUE"),
		slab:       typ("PAGE_SLAB_MAPCOUNT_VALUE"),
		hugetlb:    typ("PAGE_HUGETLB_MAPCOUNT_VALUE"),
		unaccepted: typ("PAGE_UNACCEPTED_MAPCOUNT_VALUE"),
	}
	n, ok := info.Length("zone.free_area")
	if ok && n > 0 && n <= 64 {
		l.FreeOrders = n
	}
	if l.types.buddy.value == 0 || l.FreeOrders == 0 {
		l.types.buddy, l.types.unaccepted = pageType{}, pageType{}
		l.unknown("PAGE_BUDDY_MAPCOUNT_VALUE or LENGTH(zone.free_area) is not usable: free pages are kept")
	}
	// Slab data overlaps page.mapping; without a way to tell slab, bit 0 of
	// mapping proves nothing. (Bit 7 is no substitute: it is PG_waiters.)
	l.slabKnown = l.slab != 0 || l.types.slab.value != 0
	if !l.slabKnown {
		l.unknown("neither PG_slab nor PAGE_SLAB_MAPCOUNT_VALUE is exported: anonymous pages and page cache are kept")
		l.lru, l.swapcache = 0, 0
	}
}

// readCompound finds out where page[1] holds order and kind of a compound page.
func (l *PageLayout) readCompound(info *Info) {
	// an offset in struct folio lies in its second page
	find := func(page, folio string) int {
		if off, ok := info.Offset(page); ok && off < l.Size {
			return int(off)
		}
		if off, ok := info.Offset(folio); ok && off >= l.Size && off-l.Size < l.Size {
			return int(off - l.Size)
		}
		return -1
	}
	// u8 since 4.16; the low byte of the u16 before holds the same
	l.order = find("page.compound_order", "folio._folio_order")
	if l.order < 0 && info.atLeast(6, 6) {
		l.order = l.flags // low byte of page[1].flags
	}
	if l.order < 0 {
		l.unknown("the order of compound pages is not exported: only their first page is dropped")
	}
	if l.types.hugetlb.value != 0 { // 6.9 and later
		return
	}
	if n, ok := info.Number("PG_hugetlb"); ok && n >= 8 && n < 64 { // 6.6 to 6.8
		l.hugetlb = 1 << n
		return
	}
	d, ok := info.Number("HUGETLB_PAGE_DTOR")
	off := find("page.compound_dtor", "folio._folio_dtor")
	if ok && d > 0 && d < 256 && off >= 0 {
		l.dtor, l.dtorHuge = off, byte(d)
	}
	// without any: a kernel without hugetlbfs
}

// Compound reads what page[1] tells of the compound page that starts with
// p[0]: next holds the second struct page. The order is 0 when it is unknown
// or cannot be: not a tail after the head, not aligned, beyond 16 GiB.
func (l *PageLayout) Compound(p, next []byte, pfn uint64) (order uint, huge bool) {
	if !l.IsTail(next) {
		return 0, l.types.hugetlb.is(l.t(p))
	}
	switch {
	case l.types.hugetlb.value != 0:
		huge = l.types.hugetlb.is(l.t(p))
	case l.hugetlb != 0:
		huge = l.f(next)&l.hugetlb != 0
	case l.dtor >= 0:
		huge = next[l.dtor] == l.dtorHuge
	}
	if l.order < 0 {
		return 0, huge
	}
	order = uint(next[l.order])
	if order == 0 || order > 34-l.pageShift || pfn&(1<<order-1) != 0 {
		return 0, huge
	}
	return order, huge
}

// Plausible tells whether this can be a struct page at all: garbage in its
// place would be judged by chance. Slab and tail pages reuse the fields and
// are not judged.
func (l *PageLayout) Plausible(p []byte) bool {
	if l.IsTail(p) || l.IsSlab(p) {
		return true
	}
	if l.hasRefcount && int32(binary.LittleEndian.Uint32(p[l.refcount:])) < 0 {
		return false
	}
	// a page on a list belongs to a kernel object or to none
	m := binary.LittleEndian.Uint64(p[l.mapping:])
	return l.f(p)&l.lru == 0 || m == 0 || m>>63 != 0
}
