package kernel

import (
	"math"
	"math/bits"
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
	l.slab = bit("PG_slab")
	l.reserved = l.privateBit >> 1
	// PG_swapcache shares its bit with others; with PG_swapbacked it is sure
	if c, b := bit("PG_swapcache"), bit("PG_swapbacked"); c != 0 && b != 0 {
		l.swapcache, l.swapbacked = c|b, b
	}
	if l.lru != 0 && l.swapbacked != 0 {
		l.anonMarks = l.lru | l.swapbacked
	}
	if l.lru == 0 || l.privateBit == 0 {
		l.lru, l.swapcache = 0, 0
		l.unknown("PG_lru or PG_private is not exported: page cache is not recognised and kept")
	} else if l.swapcache == 0 {
		l.unknown("PG_swapcache or PG_swapbacked is not exported: swap cache that is on no list is kept")
	}
	switch m, ok := info.Number("PG_head_mask"); {
	case !ok:
		l.unknown("PG_head_mask is not exported: of compound pages only the first is dropped")
	case bits.OnesCount64(uint64(m)) != 1:
		l.unknown("PG_head_mask is %#x, not one bit: of compound pages only the first is dropped", uint64(m))
	default:
		l.headMask = uint64(m)
	}
}

// shared takes back the flags that claim the same bit: one of the numbers is
// wrong, and nothing says which.
func (l *PageLayout) shared(info *Info) {
	name := map[uint64]string{}
	twice := uint64(0)
	for _, n := range []string{"PG_lru", "PG_private", "PG_slab", "PG_hwpoison", "PG_swapcache", "PG_swapbacked"} {
		if v, ok := info.Number(n); ok && v >= 0 && v < 64 {
			if other := name[1<<v]; other != "" {
				twice |= 1 << v
				l.unknown("%s and %s have the same bit %d: neither is believed", other, n, v)
			}
			name[1<<v] = n
		}
	}
	if other := name[l.headMask]; other != "" {
		twice |= l.headMask
		l.unknown("%s and PG_head_mask have the same bit: neither is believed", other)
	}
	if twice == 0 {
		return
	}
	if (l.lru|l.privateBit)&twice != 0 {
		l.lru, l.swapcache = 0, 0
		l.unknown("PG_lru or PG_private is not believed: page cache is kept")
	}
	if l.swapcache&twice != 0 {
		l.swapcache = 0
	}
	l.slab &^= twice
	l.hwpoison &^= twice
	l.headMask &^= twice
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
		if uint32(v) == 0xff<<24 { // counts below 0 begin so
			l.unknown("%s is %d, which cannot be: these pages are kept", name, v)
			return pageType{}
		}
		if uint32(v)&(1<<24-1) == 0 {
			return pageType{uint32(v) >> 24, 24}
		}
		// until 6.11 each type was a bit, and its value all others
		if bits.OnesCount32(^uint32(v)) != 1 {
			l.unknown("%s is %d, which is like no value known: if it is wrong, these pages are kept", name, v)
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
	switch {
	case ok && d > 0 && d < 8 && off >= 0 && off+1 == l.order:
		l.dtor, l.dtorHuge = off, byte(d)
	case ok || off >= 0:
		l.unknown("HUGETLB_PAGE_DTOR is %d, and OFFSET(page.compound_dtor) does not fit it or the order's: hugetlb pages are kept", d)
	}
	// without any: a kernel without hugetlbfs
}

// minHuge is the least order of a hugetlb page: 64 KiB, on arm64.
const minHuge = 4

// SaysHuge tells that the compound page of p[0] and next claims to be hugetlb.
func (l *PageLayout) SaysHuge(p, next []byte) bool {
	switch {
	case l.types.hugetlb.value != 0:
		return l.types.hugetlb.is(l.t(p))
	case !l.IsTail(next):
		return false
	case l.hugetlb != 0:
		return l.f(next)&l.hugetlb != 0
	case l.dtor >= 0:
		return next[l.dtor] == l.dtorHuge
	}
	return false
}

// Compound reads what page[1] tells of the compound page that starts with
// p[0]: next holds the second struct page. The order is 0 when it is unknown
// or cannot be: not a tail after the head, not aligned, beyond 16 GiB. Slab and
// what is on an LRU list is not huge, whatever it claims.
func (l *PageLayout) Compound(p, next []byte, pfn uint64) (order uint, huge bool) {
	huge = l.SaysHuge(p, next) && !l.IsSlab(p) && l.f(p)&l.lru == 0
	if !l.IsTail(next) || l.order < 0 {
		return 0, huge
	}
	order = uint(next[l.order])
	if order == 0 || order > 34-l.pageShift || pfn&(1<<order-1) != 0 {
		return 0, huge
	}
	return order, huge && order >= minHuge
}

// kernelData tells that v can be an address of the kernel, a list's poison
// (include/linux/poison.h), or nothing.
func kernelData(v uint64) bool { return v == 0 || v>>56 == 0xff || v>>48 == 0xdead }

// maxRefs is more references than a page ever has.
const maxRefs = 1 << 30

// maxCompound is the bytes of struct pages of the largest compound page, 16 GiB.
const maxCompound = 16 << 30 / 4096 * 64

// Plausible tells whether this can be a struct page at all, at address va:
// garbage in its place would be judged by chance. Of slab and tail pages, which
// reuse the fields, less is known than of others.
func (l *PageLayout) Plausible(p []byte, va uint64) bool {
	// flags end with the node and the zone, an address with all bits set
	if l.f(p)>>48 == 0xffff {
		return false
	}
	h := l.TailWord(p)
	if h&1 != 0 {
		return h>>56 == 0xff && (!l.pointers || h < va && va-h <= maxCompound)
	}
	if !kernelData(h) || l.hasRefcount && (l.refs(p) < 0 || l.refs(p) > maxRefs) {
		return false
	}
	return l.IsSlab(p) || kernelData(l.m(p)&^3)
}
