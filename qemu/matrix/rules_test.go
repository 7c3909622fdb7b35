package matrix

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
)

// Offsets and bits of the struct pages below. They are those of Debian's 6.12, but for
// the renamed field; rules take them from VMCOREINFO.
const (
	offFlags, offHead, offMapping, offMapcount, offPrivate = 0, 8, 24, 48, 40
	bitLRU, bitWaiters, bitReserved, bitPrivate, bitPoison = 5, 7, 14, 15, 22
)

const keys = "OSRELEASE=7.2.0\nPAGESIZE=4096\nSIZE(page)=64\n" +
	"OFFSET(page.flags)=0\nOFFSET(page.compound_head)=8\nOFFSET(page.mapping)=24\nOFFSET(page._mapcount)=48\nOFFSET(page.private)=40\n" +
	"NUMBER(PG_lru)=5\nNUMBER(PG_private)=15\nNUMBER(PG_hwpoison)=22\n"

// page is a struct page in the words of the rules.
type page struct {
	flags    uint64 // bits
	head     uint64 // of compound_head
	mapping  uint64
	mapcount uint32
}

// fake is memory that only has struct pages.
type fake struct {
	pages    map[uint64]page
	sections map[uint64]uint64 // flags by number of the section
}

func (f fake) structPage(pfn uint64) []byte {
	p, ok := f.pages[pfn]
	if !ok {
		return nil
	}
	b := make([]byte, 64)
	binary.LittleEndian.PutUint64(b[offFlags:], p.flags)
	binary.LittleEndian.PutUint64(b[offHead:], p.head)
	binary.LittleEndian.PutUint64(b[offMapping:], p.mapping)
	binary.LittleEndian.PutUint32(b[offMapcount:], p.mapcount)
	return b
}

func (f fake) sectionFlags(pfn uint64) uint64 { return f.sections[pfn>>15] }

// bits are flags.
func bits(n ...int) (f uint64) {
	for _, b := range n {
		f |= 1 << b
	}
	return f
}

// memoryOf is what rules look at; extra are more keys of VMCOREINFO.
func memoryOf(t *testing.T, f fake, extra string) *memory {
	t.Helper()
	info, err := kernel.ParseInfo([]byte(keys + extra))
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{pageTables: f, info: info, limit: 1 << 16, image: []pfns{{0x100, 0x110}}, ragged: []uint64{0x9f}}
	m.parse()
	return m
}

const (
	renamed = "OFFSET(page.compound_info)=8\n"
	hasSlab = "NUMBER(PG_slab)=9\n"
	none    = 0xffffffff // no mapcount, no type
	slab    = 0xf5000000
	hugetlb = 0xf4000000
	buddy   = 0xf0000000
)

// Each rule knows its case, and nothing that only looks like it.
func TestRules(t *testing.T) {
	anon := page{flags: bits(bitLRU), mapping: 0xffff888000000001, mapcount: none}
	cached := page{flags: bits(bitLRU), mapping: 0xffff888000000000, mapcount: none}
	kern := page{mapcount: none}
	with := func(p page, flags ...int) page { p.flags |= bits(flags...); return p }
	tail := func(p page) page { p.head = 0xffffea0000000001; return p }
	typed := func(p page, mapcount uint32) page { p.mapcount = mapcount; return p }
	seen := map[string]bool{}
	for _, tt := range []struct {
		name  string
		pages map[uint64]page
		extra string
		flags uint64 // of the section
		level int
		pfn   uint64
		ours  bool // only our dump has it
		want  string
	}{
		{name: "part of a page", pages: map[uint64]page{0x9f: kern}, pfn: 0x9f, ours: true, want: "ragged"},
		{name: "part of a page that we lost", pages: map[uint64]page{0x9f: kern}, pfn: 0x9f},
		{name: "the page beside it", pages: map[uint64]page{0x9e: kern}, pfn: 0x9e, ours: true},

		{name: "error in a tail", pages: map[uint64]page{0x20: kern, 0x21: tail(with(kern, bitPoison))}, pfn: 0x21, want: "poisoned-tail"},
		{name: "error in a tail that we keep", pages: map[uint64]page{0x20: kern, 0x21: tail(with(kern, bitPoison))}, pfn: 0x21, ours: true},
		{name: "error in a head", pages: map[uint64]page{0x20: with(kern, bitPoison)}, pfn: 0x20},
		{name: "tail of a head with an error", pages: map[uint64]page{0x20: with(kern, bitPoison), 0x21: tail(kern)}, pfn: 0x21},
		{name: "tail with another flag", pages: map[uint64]page{0x20: kern, 0x21: tail(with(kern, bitPoison-1))}, pfn: 0x21},

		{name: "tail of the kernel that looks anonymous", extra: renamed, level: 8, pages: map[uint64]page{0x20: typed(kern, slab), 0x21: tail(anon)}, pfn: 0x21, ours: true, want: "tail-as-user"},
		{name: "before 7.1", level: 8, pages: map[uint64]page{0x20: typed(kern, slab), 0x21: tail(anon)}, pfn: 0x21, ours: true},
		{name: "without user memory left out", extra: renamed, level: 23, pages: map[uint64]page{0x20: typed(kern, slab), 0x21: tail(anon)}, pfn: 0x21, ours: true},
		{name: "tail of user memory", extra: renamed, level: 8, pages: map[uint64]page{0x20: anon, 0x21: tail(anon)}, pfn: 0x21, ours: true},
		{name: "tail of a huge page", extra: renamed, level: 8, pages: map[uint64]page{0x20: typed(kern, hugetlb), 0x21: tail(anon)}, pfn: 0x21, ours: true},
		{name: "tail of page cache", extra: renamed, level: 31, pages: map[uint64]page{0x20: cached, 0x21: tail(anon)}, pfn: 0x21, ours: true},
		{name: "tail of page cache that is kept", extra: renamed, level: 8, pages: map[uint64]page{0x20: cached, 0x21: tail(anon)}, pfn: 0x21, ours: true, want: "tail-as-user"},
		{name: "no tail", extra: renamed, level: 8, pages: map[uint64]page{0x20: anon}, pfn: 0x20, ours: true},
		{name: "tail that does not look anonymous", extra: renamed, level: 8, pages: map[uint64]page{0x20: typed(kern, slab), 0x21: tail(kern)}, pfn: 0x21, ours: true},

		{name: "misread section", flags: 0x2f, pages: map[uint64]page{0x30: anon}, pfn: 0x30, want: "section-flag"},
		{name: "misread section, lost", flags: 0x20, pages: map[uint64]page{0x30: kern}, pfn: 0x30, ours: true, want: "section-garbage"},
		{name: "section with the flags of before", flags: 0x1f, pages: map[uint64]page{0x30: anon}, pfn: 0x30},
		{name: "section with the flags of before, lost", flags: 0x1f, pages: map[uint64]page{0x30: kern}, pfn: 0x30, ours: true},

		{name: "user memory with waiters", level: 8, pages: map[uint64]page{0x40: with(anon, bitWaiters)}, pfn: 0x40, want: "waiters"},
		{name: "free page with waiters", level: 16, pages: map[uint64]page{0x40: typed(with(kern, bitWaiters), buddy)}, pfn: 0x40, want: "waiters"},
		{name: "page that is offline, with waiters", level: 1, pages: map[uint64]page{0x40: typed(with(kern, bitWaiters), 0xf1000000)}, pfn: 0x40, want: "waiters"},
		{name: "tail of a page with waiters", level: 8, pages: map[uint64]page{0x40: with(anon, bitWaiters), 0x41: tail(kern)}, pfn: 0x41, want: "waiters"},
		{name: "user memory with waiters, lost", level: 4, pages: map[uint64]page{0x40: with(anon, bitWaiters)}, pfn: 0x40, ours: true, want: "waiters-lost"},
		{name: "nobody waits", level: 8, pages: map[uint64]page{0x40: anon}, pfn: 0x40},
		{name: "nobody waits, lost", level: 4, pages: map[uint64]page{0x40: anon}, pfn: 0x40, ours: true},
		{name: "a kernel that names its PG_slab", extra: hasSlab, level: 8, pages: map[uint64]page{0x40: with(anon, bitWaiters)}, pfn: 0x40},
		{name: "a kernel that names its PG_slab, lost", extra: hasSlab, level: 4, pages: map[uint64]page{0x40: with(anon, bitWaiters)}, pfn: 0x40, ours: true},
		{name: "page cache with waiters, lost", level: 4, pages: map[uint64]page{0x40: with(cached, bitWaiters)}, pfn: 0x40, ours: true},
		{name: "user memory with waiters and private data, lost", level: 2, pages: map[uint64]page{0x40: with(anon, bitWaiters, bitPrivate)}, pfn: 0x40, ours: true},
		{name: "page of the kernel with waiters", level: 31, pages: map[uint64]page{0x40: with(kern, bitWaiters)}, pfn: 0x40},
		{name: "user memory with waiters that the level keeps", level: 16, pages: map[uint64]page{0x40: with(anon, bitWaiters)}, pfn: 0x40},

		{name: "kernel image that looks like page cache", level: 4, pages: map[uint64]page{0x104: with(cached, bitReserved)}, pfn: 0x104, ours: true, want: "image"},
		{name: "kernel image without a struct page", level: 4, pfn: 0x104, ours: true, want: "image"},
		{name: "kernel image that we lost", level: 4, pages: map[uint64]page{0x104: with(cached, bitReserved)}, pfn: 0x104},
		{name: "kernel image that was freed and used again", level: 4, pages: map[uint64]page{0x104: cached}, pfn: 0x104, ours: true},
		{name: "behind the kernel image", level: 4, pages: map[uint64]page{0x110: with(cached, bitReserved)}, pfn: 0x110, ours: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := memoryOf(t, fake{pages: tt.pages, sections: map[uint64]uint64{tt.pfn >> 15: tt.flags}}, tt.extra)
			got := ""
			if r := m.explain(tt.level, tt.pfn, tt.ours); r != nil {
				got = r.name
			}
			if seen[got] = true; got != tt.want {
				t.Errorf("explained by %q, want %q: %s", got, tt.want, m.describe(tt.pfn, tt.ours))
			}
		})
	}
	for _, name := range ruleNames() {
		if !seen[name] {
			t.Errorf("no case of %s", name)
		}
	}
}

// No page may differ without a rule, and no rule excuses a page that we lack.
func TestDifferencesNeedACause(t *testing.T) {
	m := memoryOf(t, fake{}, "")
	m.image, m.ragged = []pfns{{5, 7}}, []uint64{4}
	all, none := pfnset.New(64), pfnset.New(64)
	m.limit = 64
	for _, pfn := range []uint64{4, 5, 6} {
		all.Add(pfn)
	}
	named, err := m.differences(31, all, none)
	if err != nil || named["image"] != 2 || named["ragged"] != 1 || len(named) != 2 {
		t.Errorf("explained ones: %v, %v", named, err)
	}
	// The same pages have no excuse when we are the ones who lack them.
	if _, err := m.differences(31, none, all); err == nil || !strings.Contains(err.Error(), "3 pages") {
		t.Errorf("pages of the image that we lack: %v", err)
	}
	all.Add(9)
	if named, err := m.differences(31, all, none); err == nil || !strings.Contains(err.Error(), "pfn 0x9: only we keep it") || named["image"] != 2 {
		t.Errorf("a page without a cause: %v, %v", named, err)
	}
	if _, err := m.differences(31, all, all); err != nil {
		t.Errorf("equal sets: %v", err)
	}
}
