package synth

// Era says how kernels of one time lay out and mark struct pages. Bits are
// numbers of bits in page.flags, -1 when that kernel has no such bit; types
// are values of page._mapcount, as VMCOREINFO prints them, 0 when the kernel
// has none (include/linux/page-flags.h of the release).
type Era struct {
	Release string

	LRU, Waiters, Slab, Reserved, Private, Head, Swapcache, Swapbacked, HWPoison int

	Buddy, Offline, HugetlbType, SlabType, Unaccepted int64

	HugetlbDtor   int64  // NUMBER(HUGETLB_PAGE_DTOR); 0: none
	HugetlbFlag   int    // PG_hugetlb in page[1].flags; -1: none
	OrderInFlags  bool   // low byte of page[1].flags is the compound order
	FolioFields   bool   // dtor and order are exported as members of folio (6.3 to 6.5)
	CompoundKey   string // "compound_head" or "compound_info"
	SectionFlags  uint64 // what is set in section_mem_map beside the map
	VmemmapSymbol bool   // prints SYMBOL(vmemmap)
}

// V61 is like Debian 6.1 with CONFIG_MEMORY_FAILURE.
var V61 = Era{
	Release: "6.1.0-synth",
	LRU:     4, Waiters: 7, Slab: 9, Reserved: 12, Private: 13, Head: 16, Swapcache: 10, Swapbacked: 19, HWPoison: 23,
	Buddy: -129, Offline: -257,
	HugetlbDtor: 2, HugetlbFlag: -1,
	CompoundKey:  "compound_head",
	SectionFlags: 0xf,
}

// V64 is like 6.4: destructor and order are members of struct folio.
var V64 = func() Era {
	e := V61
	e.Release, e.FolioFields = "6.4.0-synth", true
	return e
}()

// V66 is like Debian 6.6: PG_hugetlb and the order lie in page[1].flags.
var V66 = func() Era {
	e := V61
	e.Release, e.HugetlbDtor, e.HugetlbFlag, e.OrderInFlags = "6.6.0-synth", 0, 8, true
	e.LRU, e.Waiters, e.Slab, e.Reserved, e.Private = 5, 7, 11, 14, 15
	e.Head, e.Swapcache, e.Swapbacked, e.HWPoison = 6, 12, 19, 23
	return e
}()

// V612 is like 6.12: one type for each page, in the top byte; no PG_slab.
var V612 = Era{
	Release: "6.12.0-synth",
	LRU:     5, Waiters: 7, Slab: -1, Reserved: 13, Private: 14, Head: 6, Swapcache: 10, Swapbacked: 17, HWPoison: 20,
	Buddy: -0x10000000, Offline: -0x0f000000, HugetlbType: -0x0c000000, SlabType: -0x0b000000,
	HugetlbFlag: -1, OrderInFlags: true,
	CompoundKey:  "compound_head",
	SectionFlags: 0xf,
}

// V71 is like 7.1: page.compound_info, unaccepted pages exported, and the
// section flag VMEMMAP_PREINIT (bit 5) set.
var V71 = func() Era {
	e := V612
	e.Release, e.CompoundKey, e.Unaccepted = "7.1.0-synth", "compound_info", -0x09000000
	e.SectionFlags, e.VmemmapSymbol = 0x2f, true
	e.HWPoison = 21
	return e
}()
