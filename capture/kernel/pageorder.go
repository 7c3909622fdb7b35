package kernel

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
)

// order is what kernels of one time export of struct page, in include/linux/
// page-flags.h and mm_types.h of the releases: numbers of flags, values of types,
// offsets. No build option moves any of it, but where 0 is written: 0 and what is
// not listed is not held against it.
type order struct {
	kernels string
	numbers map[string]int64
	offsets map[string]uint64
	with    map[string]string // a number that is exported wherever another is
}

// orders are the known ones. Kernels 6.10 and 6.11 changed it twice and are no more.
func orders() []order {
	offsets := func(more map[string]uint64) map[string]uint64 {
		all := map[string]uint64{"page.flags": 0, "page.mapping": 24, "page._mapcount": 48, "page._refcount": 52,
			"page.private": 40, "page.compound_head": 8, "page.compound_info": 8}
		maps.Copy(all, more)
		return all
	}
	return []order{
		{
			kernels: "5.0 to 6.5",
			numbers: map[string]int64{"PG_lru": 4, "PG_slab": 9, "PG_private": 13, "PG_head_mask": 1 << 16, "PG_swapcache": 10, "PG_swapbacked": 19,
				"PAGE_BUDDY_MAPCOUNT_VALUE": ^0x80, "PAGE_OFFLINE_MAPCOUNT_VALUE": ^0x100, "HUGETLB_PAGE_DTOR": 2},
			offsets: offsets(map[string]uint64{"page.compound_dtor": 16, "page.compound_order": 17, "folio._folio_dtor": 80, "folio._folio_order": 81}),
			with:    map[string]string{"PAGE_OFFLINE_MAPCOUNT_VALUE": "HUGETLB_PAGE_DTOR"},
		},
		{
			kernels: "6.6 to 6.9",
			numbers: map[string]int64{"PG_lru": 5, "PG_slab": 11, "PG_private": 15, "PG_head_mask": 1 << 6, "PG_swapcache": 12, "PG_swapbacked": 19,
				"PAGE_BUDDY_MAPCOUNT_VALUE": ^0x80, "PAGE_OFFLINE_MAPCOUNT_VALUE": ^0x100, "PG_hugetlb": 8, "PAGE_HUGETLB_MAPCOUNT_VALUE": ^0x800},
			offsets: offsets(nil),
			with:    map[string]string{"PAGE_OFFLINE_MAPCOUNT_VALUE": "PG_hugetlb", "PG_hugetlb": "PAGE_OFFLINE_MAPCOUNT_VALUE"},
		},
		{
			kernels: "6.12 to 7.2",
			numbers: map[string]int64{"PG_lru": 5, "PG_private": 14, "PG_head_mask": 1 << 6, "PG_swapcache": 10, "PG_swapbacked": 17,
				"PAGE_BUDDY_MAPCOUNT_VALUE": -0x10 << 24, "PAGE_OFFLINE_MAPCOUNT_VALUE": -0x0f << 24, "PAGE_HUGETLB_MAPCOUNT_VALUE": -0x0c << 24,
				"PAGE_SLAB_MAPCOUNT_VALUE": -0x0b << 24, "PAGE_UNACCEPTED_MAPCOUNT_VALUE": -0x09 << 24},
			offsets: offsets(nil),
		},
	}
}

// misfits are the keys that are exported with another value than the order has.
func (o *order) misfits(info *Info) (keys []string) {
	for name, want := range o.numbers {
		if v, ok := info.Number(name); ok && v != want {
			keys = append(keys, "NUMBER("+name+")")
		}
	}
	for name, want := range o.offsets {
		if v, ok := info.Offset(name); ok && v != want {
			keys = append(keys, "OFFSET("+name+")")
		}
	}
	slices.Sort(keys)
	return keys
}

// expect is the value that the order has for a key.
func (o *order) expect(key string) (v int64) {
	if name, ok := inside(key, "NUMBER("); ok {
		return o.numbers[name]
	}
	name, _ := inside(key, "OFFSET(")
	return int64(o.offsets[name])
}

func inside(key, kind string) (string, bool) {
	if len(key) > len(kind) && key[:len(kind)] == kind {
		return key[len(kind) : len(key)-1], true
	}
	return "", false
}

// swapped tells that two keys have each other's value.
func (o *order) swapped(info *Info, keys []string) bool {
	if len(keys) != 2 {
		return false
	}
	a, ok1 := info.value(keys[0])
	b, ok2 := info.value(keys[1])
	return ok1 && ok2 && a == o.expect(keys[1]) && b == o.expect(keys[0])
}

// value is a number or an offset by its whole key.
func (i *Info) value(key string) (int64, bool) {
	if v, ok := i.numbers[key]; ok {
		return v, true
	}
	v, ok := i.unsigned[key]
	return int64(v), ok
}

// believable holds what VMCOREINFO says of struct page against the orders that
// kernels of that age have. A key that alone does not fit is wrong, and so are two
// that fit each other's place: the Info that is returned lacks them, and said has a
// sentence for each. What differs more is a kernel of its own, and so is one that is
// newer than all that are known: only its memory can speak against it. known is the
// order, nil when there is none.
func believable(info *Info) (use *Info, known *order, said []string) {
	if !info.atLeast(5, 0) || info.atLeast(7, 3) || info.atLeast(6, 10) && !info.atLeast(6, 12) {
		return info, nil, typesTogether(info)
	}
	all := orders()
	best := 2 // more than one wrong key is a kernel of its own
	var fit []*order
	for i := range all {
		keys := all[i].misfits(info)
		n := len(keys)
		if all[i].swapped(info, keys) {
			n = 1
		}
		if n < best {
			best, fit = n, nil
		}
		if n == best && n < 2 {
			fit = append(fit, &all[i])
		}
	}
	said = typesTogether(info)
	wrong := map[string]string{}
	for _, o := range fit {
		for _, k := range o.misfits(info) {
			v, _ := info.value(k)
			wrong[k] = fmt.Sprintf("%s is %d, and not %d, though all the rest is as kernels from %s have it: it is not believed", k, v, o.expect(k), o.kernels)
		}
	}
	use = info
	if len(wrong) > 0 {
		use = info.lacking(wrong)
		for _, k := range slices.Sorted(maps.Keys(wrong)) {
			said = append(said, wrong[k])
		}
	}
	if len(fit) != 1 {
		return use, nil, said
	}
	known = fit[0]
	for name, other := range known.with {
		_, ok1 := info.Number(name)
		_, ok2 := info.Number(other)
		if _, later := info.Number("PAGE_HUGETLB_MAPCOUNT_VALUE"); !ok1 && ok2 && !later {
			said = append(said, fmt.Sprintf("VMCOREINFO has NUMBER(%s), but no NUMBER(%s), which kernels from %s have together: such pages are kept", other, name, known.kernels))
		}
	}
	return use, known, said
}

// typesTogether tells of types that are missing beside others: since 6.9 all builds
// export these.
func typesTogether(info *Info) (said []string) {
	names := []string{"PAGE_HUGETLB_MAPCOUNT_VALUE", "PAGE_OFFLINE_MAPCOUNT_VALUE"}
	_, slab := info.Number("PAGE_SLAB_MAPCOUNT_VALUE")
	_, huge := info.Number(names[0])
	for _, name := range names {
		if _, ok := info.Number(name); !ok && (slab || huge) {
			said = append(said, fmt.Sprintf("VMCOREINFO has no NUMBER(%s), which all kernels since 6.9 have: such pages are kept", name))
		}
	}
	return said
}

// lacking is the same without some keys.
func (i *Info) lacking(keys map[string]string) *Info {
	c := *i
	c.numbers, c.unsigned = maps.Clone(i.numbers), maps.Clone(i.unsigned)
	for k := range keys {
		delete(c.numbers, k)
		delete(c.unsigned, k)
	}
	return &c
}

// poisonBit is the flag that PG_hwpoison should be, as a mask, and the one that it
// may be on kernels with parts of newer ones; 0 where that is not known. It comes
// behind PG_swapbacked, PG_unevictable and PG_mlocked, on x86-64 before 6.12 also
// PG_uncached, and from 6.14 on PG_dropbehind.
func (l *PageLayout) poisonBit(info *Info, known *order) (should, may uint64) {
	if known == nil {
		return 0, 0
	}
	b := known.numbers["PG_swapbacked"]
	_, arm := info.Number("VA_BITS")
	switch three, four := uint64(1)<<(b+3), uint64(1)<<(b+4); {
	case known.numbers["PAGE_SLAB_MAPCOUNT_VALUE"] == 0 && !arm:
		return four, 0
	case known.numbers["PAGE_SLAB_MAPCOUNT_VALUE"] == 0:
		return three, 0
	case info.atLeast(6, 14):
		return four, three
	default:
		return three, four
	}
}

// unacceptedHint is the type of unaccepted pages, of which VMCOREINFO tells since 6.16.
func unacceptedHint(info *Info, known *order) pageType {
	if known == nil || known.numbers["PAGE_UNACCEPTED_MAPCOUNT_VALUE"] == 0 {
		return pageType{}
	}
	if _, ok := info.Number("PAGE_UNACCEPTED_MAPCOUNT_VALUE"); ok {
		return pageType{}
	}
	return pageType{uint32(known.numbers["PAGE_UNACCEPTED_MAPCOUNT_VALUE"]) >> 24, 24}
}

// readPoison takes PG_hwpoison, as far as it can be.
func (l *PageLayout) readPoison(info *Info, known *order) {
	should, may := l.poisonBit(info, known)
	n, ok := info.Number("PG_hwpoison")
	said := uint64(0)
	if ok && n >= 0 && n < 64 {
		said = 1 << n
	}
	switch {
	case !ok:
	// in all kernels it comes behind them; lower bits of page[1].flags are others
	case said == 0 || said <= l.privateBit|1<<7:
		l.unknown("PG_hwpoison is a bit that cannot be: pages with memory errors are kept")
		said = 0
	case should != 0 && said != should && said != may:
		l.unknown("PG_hwpoison is %d, and not %d, as kernels have it whose other flags are like these: it is not believed, and pages with memory errors are kept",
			n, bits.TrailingZeros64(should))
		said = 0
	}
	l.hwpoison = said
	l.poisonUnsure = said != 0 && said == may
	l.poisonHint = should &^ said
	if l.poisonUnknown = known == nil; l.poisonUnknown {
		l.poisonHint = (l.swapbacked<<3 | l.swapbacked<<4) &^ said
	}
}
