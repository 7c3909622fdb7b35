package synth

import "fmt"

// Kind is what a run of pages is used for.
type Kind int

// Page kinds. Kinds marked "compound" make one compound page of 2^Order pages
// with proper tails; the others make Count pages of order 0.
const (
	Kernel         Kind = iota // allocated by the kernel: no list, no mapping
	Reserved                   // PG_reserved
	Free                       // the buddy allocator's, 2^Order pages; Count blocks
	PCP                        // free, on a per-cpu list: looks like Kernel
	Anon                       // user memory, on the LRU
	Cache                      // page cache, on the LRU
	CachePrivate               // page cache with PG_private (buffers)
	SwapCache                  // PG_swapcache and PG_swapbacked, off the LRU, not anonymous
	Slab                       // compound; its mapping field holds slab data, a number with bit 0 set
	Hugetlb                    // compound, on no list
	THP                        // compound, anonymous, on the LRU
	LargeFolio                 // compound, page cache, on the LRU
	CompoundKernel             // compound, of the kernel
	Offline                    // offlined by a balloon
	HWPoison                   // poisoned kernel page
	Unaccepted                 // 2^(MAX_ORDER-1) pages not accepted yet
)

// Run asks for pages of one kind.
type Run struct {
	Kind  Kind
	PFN   uint64 // 0: synth chooses a place
	Count int    // pages, or blocks of Order for Free and compound kinds; 0 is 1
	Order uint   // for Free and compound kinds
	Flags uint64 // more bits for page.flags of every head page
	Zero  bool   // the content is zeros
}

// Pages is the number of pages of the run.
func (r Run) Pages() uint64 { return uint64(max(r.Count, 1)) << r.Order }

const (
	structPage = 64 // sizeof(struct page)
	offFlags   = 0
	offHead    = 8
	offOrder   = 17 // page[1].compound_order, u8; compound_dtor is before it
	offMapping = 24
	offPrivate = 40
	offMapcnt  = 48
	offRefcnt  = 52
)

// FreeAreaLength is LENGTH(zone.free_area): buddy orders are below it.
const FreeAreaLength = 11

// StructPage is the physical address of the struct page of pfn; it panics
// when the pfn's section is absent.
func (m *Machine) StructPage(pfn uint64) uint64 {
	sec := pfn * PageSize / SectionSize
	base, ok := m.mapBase[sec]
	if !ok {
		panic(fmt.Sprintf("synth: pfn %#x has no struct page", pfn))
	}
	return base + pfn%(SectionSize/PageSize)*structPage
}

func (m *Machine) putPage(pfn, flags, mapping, private uint64, mapcount int64, ref uint32) {
	pa := m.StructPage(pfn)
	m.Put64(pa+offFlags, flags)
	m.Put64(pa+8, 0xffff888000000100) // lru, a plausible even pointer
	m.Put64(pa+16, 0xffff888000000122)
	m.Put64(pa+offMapping, mapping)
	m.Put64(pa+offPrivate, private)
	m.Put32(pa+offMapcnt, uint32(mapcount))
	m.Put32(pa+offRefcnt, ref)
}

// zoneBits are the high bits of page.flags: node, zone, section.
const zoneBits = 0x0100000000000000

func (m *Machine) placeRuns() {
	for i := range m.Opt.Runs {
		r := m.Opt.Runs[i]
		if r.Kind == Unaccepted {
			r.Order = FreeAreaLength - 1
		}
		if r.PFN == 0 {
			r.PFN = m.find(r.Pages(), 1<<r.Order)
		}
		for k := range uint64(max(r.Count, 1)) {
			m.place(r, r.PFN+k<<r.Order)
		}
		for pfn := r.PFN; pfn < r.PFN+r.Pages(); pfn++ {
			m.used[pfn] = true
			if r.Zero {
				m.zero[pfn] = true
			}
		}
		m.Runs = append(m.Runs, r)
	}
}

// find looks for n free pages from the lowest address, above 1 MiB.
func (m *Machine) find(n, align uint64) uint64 {
	for i, r := range m.Opt.RAM {
		pfn := (max(r.Start, 1<<20)/PageSize + align - 1) &^ (align - 1)
		for pfn+n <= m.tops[i]/PageSize {
			k := uint64(0)
			for k < n && !m.used[pfn+k] {
				k++
			}
			if k == n {
				return pfn
			}
			pfn = (pfn + k + align) &^ (align - 1)
		}
	}
	panic(fmt.Sprintf("synth: no room for a run of %d pages", n))
}

// place writes the struct pages of one block of a run.
func (m *Machine) place(r Run, pfn uint64) {
	e := m.Opt.Era
	bit := func(n int) uint64 {
		if n < 0 {
			return 0
		}
		return 1 << n
	}
	const anon, file = 0xffff888000042001, 0xffff888000043000
	f := zoneBits | r.Flags
	lru := f | bit(e.LRU)
	switch r.Kind {
	case Kernel, PCP:
		m.putPage(pfn, f, 0, 0, -1, 1)
	case Reserved:
		m.putPage(pfn, f|bit(e.Reserved), 0, 0, -1, 1)
	case Free:
		m.putPage(pfn, f, 0, uint64(r.Order), e.Buddy, 0)
		for i := uint64(1); i < 1<<r.Order; i++ {
			m.putPage(pfn+i, zoneBits, 0, 0, -1, 0)
		}
	case Unaccepted:
		m.putPage(pfn, f, 0, 0, e.Unaccepted, 0)
		for i := uint64(1); i < 1<<r.Order; i++ {
			m.putPage(pfn+i, zoneBits, 0, 0, -1, 0)
		}
	case Anon:
		m.putPage(pfn, lru|bit(e.Swapbacked), anon, 0, 0, 1)
	case Cache:
		m.putPage(pfn, lru, file, 0, -1, 2)
	case CachePrivate:
		m.putPage(pfn, lru|bit(e.Private), file, 0xffff888000044000, -1, 3)
	case SwapCache:
		m.putPage(pfn, f|bit(e.Swapcache)|bit(e.Swapbacked), file, 0, -1, 2)
	case Slab:
		mapcount := int64(-1)
		if e.SlabType != 0 {
			mapcount = e.SlabType
		}
		m.compound(pfn, r.Order, f|bit(e.Slab), 0xffff888000000009, mapcount, false) // int slabs, over a stale address
	case Hugetlb:
		mapcount := int64(-1)
		if e.HugetlbType != 0 {
			mapcount = e.HugetlbType
		}
		m.compound(pfn, r.Order, f, file, mapcount, true)
	case THP:
		m.compound(pfn, r.Order, lru|bit(e.Swapbacked), anon, -1, false)
	case LargeFolio:
		m.compound(pfn, r.Order, lru, file, -1, false)
	case CompoundKernel:
		m.compound(pfn, r.Order, f, 0, -1, false)
	case Offline:
		m.putPage(pfn, f, 0, 0, e.Offline, 1)
	case HWPoison:
		m.putPage(pfn, f|bit(e.HWPoison), 0, 0, -1, 1)
	default:
		panic(fmt.Sprintf("synth: unknown kind %d", r.Kind))
	}
}

func (m *Machine) compound(pfn uint64, order uint, flags, mapping uint64, mapcount int64, huge bool) {
	e := m.Opt.Era
	if order == 0 {
		m.putPage(pfn, flags, mapping, 0, mapcount, 1)
		return
	}
	m.putPage(pfn, flags|1<<e.Head, mapping, 0, mapcount, 1)
	head := m.mapVA(pfn) + 1
	if e.CompoundKey == "compound_info" && huge {
		head = ^uint64(0)<<(order+6) | 1 // a mask, as kernels with HVO have
	}
	for i := uint64(1); i < 1<<order; i++ {
		m.putPage(pfn+i, zoneBits, 0, 0, -1, 0)
		m.Put64(m.StructPage(pfn+i)+offHead, head)
	}
	first := m.StructPage(pfn + 1)
	switch {
	case e.OrderInFlags:
		f := zoneBits | uint64(order)
		if huge && e.HugetlbFlag >= 0 {
			f |= 1 << e.HugetlbFlag
		}
		m.Put64(first, f)
	default:
		dtor := byte(1)
		if huge {
			dtor = byte(e.HugetlbDtor)
		}
		m.Put(first+offOrder-1, []byte{dtor, byte(order)})
	}
}
