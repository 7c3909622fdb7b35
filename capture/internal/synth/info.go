package synth

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// buildNames writes init_uts_ns: six fields of 65 bytes from its start
// (OFFSET(uts_namespace.name) is 0 since 5.11).
func (m *Machine) buildNames() {
	pa := m.variable("init_uts_ns", 424, 64)
	for i, s := range []string{"Linux", m.Opt.Nodename, m.Opt.Release, m.Opt.Version, "x86_64", "(none)"} {
		if len(s) > 64 {
			panic("synth: utsname field is longer than 64 bytes")
		}
		m.Put(pa+uint64(i)*65, append([]byte(s), make([]byte, 65-len(s))...))
	}
}

// vmcoreinfo writes the keys of kernel/vmcore_info.c and of the x86-64 part.
func (m *Machine) vmcoreinfo() []byte {
	var lines []string
	add := func(format string, a ...any) {
		l := fmt.Sprintf(format, a...)
		key, _, _ := strings.Cut(l, "=")
		if !slices.Contains(m.Opt.Drop, key) {
			lines = append(lines, l)
		}
	}
	symbol := func(name string) { add("SYMBOL(%s)=%x", name, m.Symbols[name]) }
	number := func(name string, v int64) { add("NUMBER(%s)=%d", name, v) }
	e := m.Opt.Era
	add("OSRELEASE=%s", m.Opt.Release)
	add("BUILD-ID=%040x", 0x51771)
	add("PAGESIZE=%d", PageSize)
	symbol("init_uts_ns")
	add("OFFSET(uts_namespace.name)=0")
	add("SYMBOL(swapper_pg_dir)=%x", m.Symbols["init_top_pgt"])
	add("SYMBOL(_stext)=%x", m.ImageVA(m.Image.Start))
	if m.Opt.Model == FlatMem {
		symbol("mem_map")
	} else {
		at := m.Symbols["mem_section data"]
		if m.Opt.MemSectionVar {
			at = m.Symbols["mem_section"]
		}
		n := uint64(1) << (m.maxPhysmemBits() - 27)
		if m.Opt.Model != SparseFlat {
			n /= perRoot
		}
		add("SYMBOL(mem_section)=%x", at)
		add("LENGTH(mem_section)=%d", n)
		add("SIZE(mem_section)=16")
		add("OFFSET(mem_section.section_mem_map)=0")
		number("SECTION_SIZE_BITS", 27)
		number("MAX_PHYSMEM_BITS", int64(m.maxPhysmemBits()))
	}
	if e.VmemmapSymbol && m.Opt.Model == Vmemmap {
		add("SYMBOL(vmemmap)=%x", m.VmemmapBase())
	}
	m.pageKeys(add, number)
	logKeys(add, symbol)
	number("phys_base", int64(m.PhysBase))
	symbol("init_top_pgt")
	l5 := int64(0)
	if m.Opt.Level5 {
		l5 = 1
	}
	number("pgtable_l5_enabled", l5)
	add("KERNELOFFSET=%x", m.Opt.KASLR)
	number("KERNEL_IMAGE_SIZE", 1<<30)
	number("sme_mask", int64(m.Opt.SMEMask))
	add("CRASHTIME=%d", m.Opt.Time)
	return []byte(strings.Join(lines, "\n") + "\n" + m.Opt.Extra)
}

func (m *Machine) pageKeys(add func(string, ...any), number func(string, int64)) {
	e := m.Opt.Era
	add("SIZE(page)=%d", structPage)
	add("OFFSET(page.flags)=%d", offFlags)
	add("OFFSET(page._refcount)=%d", offRefcnt)
	add("OFFSET(page.mapping)=%d", offMapping)
	add("OFFSET(page.lru)=8")
	add("OFFSET(page._mapcount)=%d", offMapcnt)
	add("OFFSET(page.private)=%d", offPrivate)
	switch {
	case e.OrderInFlags:
	case e.FolioFields:
		add("OFFSET(folio._folio_dtor)=%d", structPage+offOrder-1)
		add("OFFSET(folio._folio_order)=%d", structPage+offOrder)
	default:
		add("OFFSET(page.compound_dtor)=%d", offOrder-1)
		add("OFFSET(page.compound_order)=%d", offOrder)
	}
	add("OFFSET(page.%s)=%d", e.CompoundKey, offHead)
	add("LENGTH(zone.free_area)=%d", FreeAreaLength)
	for _, b := range []struct {
		name string
		bit  int
	}{
		{"PG_lru", e.LRU}, {"PG_private", e.Private}, {"PG_swapcache", e.Swapcache}, {"PG_swapbacked", e.Swapbacked},
		{"PG_slab", e.Slab}, {"PG_hwpoison", e.HWPoison}, {"PG_hugetlb", e.HugetlbFlag},
	} {
		if b.bit >= 0 {
			number(b.name, int64(b.bit))
		}
	}
	number("PG_head_mask", 1<<e.Head)
	for _, t := range []struct {
		name string
		v    int64
	}{
		{"PAGE_BUDDY_MAPCOUNT_VALUE", e.Buddy}, {"PAGE_OFFLINE_MAPCOUNT_VALUE", e.Offline},
		{"PAGE_HUGETLB_MAPCOUNT_VALUE", e.HugetlbType}, {"PAGE_SLAB_MAPCOUNT_VALUE", e.SlabType},
		{"PAGE_UNACCEPTED_MAPCOUNT_VALUE", e.Unaccepted}, {"HUGETLB_PAGE_DTOR", e.HugetlbDtor},
	} {
		if t.v != 0 {
			number(t.name, t.v)
		}
	}
}

// notes is the PT_NOTE segment: NT_PRSTATUS for each CPU, then VMCOREINFO.
func (m *Machine) notes() []byte {
	var out []byte
	for cpu := range m.Opt.CPUs {
		desc := make([]byte, 336)
		binary.LittleEndian.PutUint32(desc[32:], uint32(cpu+1))
		out = appendNote(out, "CORE", 1, desc)
	}
	return appendNote(out, "VMCOREINFO", 0, m.Info)
}

func appendNote(out []byte, name string, typ uint32, desc []byte) []byte {
	out = binary.LittleEndian.AppendUint32(out, uint32(len(name)+1))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(desc)))
	out = binary.LittleEndian.AppendUint32(out, typ)
	out = append(append(out, name...), 0)
	out = append(out, make([]byte, -len(out)&3)...)
	out = append(out, desc...)
	return append(out, make([]byte, -len(out)&3)...)
}
