package matrix

import (
	"slices"
)

// rule explains why a page is in one set and not in the other. It looks at the page.
type rule struct {
	name string
	// why justifies the difference, for the reader of the table.
	why string
	// ours is true for pages that only our dump stores.
	ours  bool
	holds func(m *memory, level int, pfn uint64) bool
}

// rules are all the differences that there may be, each with its cause. They are
// asked in this order.
var rules = []rule{
	{
		name: "ragged",
		why:  "a page of which only a part is RAM: we keep that part, makedumpfile loses it in some of its modes",
		ours: true,
		holds: func(m *memory, _ int, pfn uint64) bool {
			_, found := slices.BinarySearch(m.ragged, pfn)
			return found
		},
	},
	{
		name: "poisoned-tail",
		why:  "a page with a memory error inside a compound page: makedumpfile looks at the first page only, and would read it",
		holds: func(m *memory, _ int, pfn uint64) bool {
			p := m.structPage(pfn)
			return p != nil && m.tail(p) && m.has(p, "PG_hwpoison")
		},
	},
	{
		name: "tail-as-user",
		why:  "7.1 renamed page.compound_head to page.compound_info, which makedumpfile does not know: it judges the pages inside a compound page by themselves, and drops those that look anonymous",
		ours: true,
		holds: func(m *memory, level int, pfn uint64) bool {
			if _, renamed := m.info.Offset("page.compound_info"); !renamed || level&8 == 0 {
				return false
			}
			p := m.structPage(pfn)
			return p != nil && m.tail(p) && m.u64(p, "page.mapping")&1 != 0 && !m.droppable(level, pfn)
		},
	},
	{
		name:  "section-flag",
		why:   "mem_section has a flag in bit 5 since 6.15, which makedumpfile takes for a part of the address: it misreads all struct pages of the section",
		holds: misreadSection,
	},
	{
		name:  "section-garbage",
		why:   "the same, where garbage looked like a page to leave out",
		ours:  true,
		holds: misreadSection,
	},
	{
		name: "waiters",
		why:  "since 6.10 bit 7 of the flags is PG_waiters, which makedumpfile takes for PG_slab: it takes the page for no user memory, no free page and no page that is offline, and keeps it",
		holds: func(m *memory, level int, pfn uint64) bool {
			p := m.waiters(pfn)
			if p == nil {
				return false
			}
			typ := m.mapcount(p) >> 24
			return level&8 != 0 && m.anon(p) || level&16 != 0 && typ == typeBuddy || typ == typeOffline
		},
	},
	{
		name: "waiters-lost",
		why:  "the same with an anonymous page: taken for slab, it is no user memory, and makedumpfile drops it as page cache",
		ours: true,
		holds: func(m *memory, level int, pfn uint64) bool {
			p := m.waiters(pfn)
			return p != nil && m.anon(p) && m.has(p, "PG_lru") && (level&4 != 0 || level&2 != 0 && !m.has(p, "PG_private"))
		},
	},
	{
		name: "image",
		why:  "a page of the kernel's own image that it has not freed: we never leave one out, whatever its struct page says",
		ours: true,
		holds: func(m *memory, _ int, pfn uint64) bool {
			if !slices.ContainsFunc(m.image, func(r pfns) bool { return r.start <= pfn && pfn < r.end }) {
				return false
			}
			// PG_reserved is not exported; it is the bit below PG_private.
			p := m.structPage(pfn)
			return p == nil || m.u64(p, "page.flags")>>(m.flags["PG_private"]-1)&1 != 0
		},
	},
}

// Types of pages since 6.12, the top byte of _mapcount: include/linux/page-flags.h, enum
// pagetype.
const (
	typeBuddy, typeOffline, typeHugetlb, typeSlab = 0xf0, 0xf1, 0xf4, 0xf5
)

// waiters is the first page of pfn's compound page if it has PG_waiters, in a kernel that
// exports no PG_slab; else nil.
func (m *memory) waiters(pfn uint64) []byte {
	if _, ok := m.flags["PG_slab"]; ok {
		return nil
	}
	if _, p := m.head(pfn); p != nil && m.u64(p, "page.flags")&(1<<7) != 0 {
		return p
	}
	return nil
}

// anon tells whether a page that is no tail is a process's memory.
func (m *memory) anon(p []byte) bool {
	return m.u64(p, "page.mapping")&1 != 0 && m.mapcount(p)>>24 != typeSlab
}

// misreadSection tells that the section has a flag that makedumpfile does not know.
func misreadSection(m *memory, _ int, pfn uint64) bool { return m.sectionFlags(pfn)&0x20 != 0 }

// droppable tells that the level leaves out the compound page that pfn is in: user memory
// or page cache.
func (m *memory) droppable(level int, pfn uint64) bool {
	_, p := m.head(pfn)
	if p == nil {
		return true
	}
	anon := m.anon(p)
	return level&8 != 0 && (anon || m.mapcount(p)>>24 == typeHugetlb) || level&6 != 0 && !anon && m.has(p, "PG_lru")
}

// has tells whether a flag that the kernel exports is set.
func (m *memory) has(p []byte, flag string) bool {
	n, ok := m.flags[flag]
	return ok && m.u64(p, "page.flags")>>n&1 != 0
}
