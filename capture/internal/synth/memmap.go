package synth

// maxPhysmemBits is NUMBER(MAX_PHYSMEM_BITS): SparseFlat machines use a small
// one, to keep the flat array small.
func (m *Machine) maxPhysmemBits() int {
	switch {
	case m.Opt.Model == SparseFlat:
		return 36
	case m.Opt.Level5:
		return 52
	}
	return 46
}

const perRoot = PageSize / 16 // SECTIONS_PER_ROOT

// buildMemMap makes the struct page arrays and mem_section.
func (m *Machine) buildMemMap() {
	const mapSize = SectionSize / PageSize * structPage
	nsec := (m.MaxPFN()*PageSize + SectionSize - 1) / SectionSize
	if m.Opt.Model == FlatMem {
		n := (m.MaxPFN()*structPage + PageSize - 1) &^ (PageSize - 1)
		base := m.alloc(n, PageSize)
		m.Maps = append(m.Maps, Range{base, base + n})
		for sec := range nsec {
			m.mapBase[sec] = base + sec*mapSize
		}
		m.clearMap(0, m.MaxPFN())
		m.Put64(m.variable("mem_map", 8, 8), m.PageOffset()+base)
		return
	}
	sectionVA := m.buildMemSection(nsec)
	for sec := range nsec {
		if !m.hasRAM(sec) {
			continue
		}
		base := m.alloc(mapSize, 2<<20)
		m.mapBase[sec] = base
		m.Maps = append(m.Maps, Range{base, base + mapSize})
		first := sec * (SectionSize / PageSize)
		if m.Opt.Model == Vmemmap {
			va, step := m.VmemmapBase()+first*structPage, uint64(2<<20)
			if m.Opt.SmallMap {
				step = PageSize
			}
			for o := uint64(0); o < mapSize; o += step {
				m.Map(va+o, base+o, step)
			}
		}
		m.clearMap(first, first+SectionSize/PageSize)
		m.Put64(sectionVA(sec), m.mapVA(first)-first*structPage|m.Opt.Era.SectionFlags)
	}
}

func (m *Machine) hasRAM(sec uint64) bool {
	for _, r := range m.Opt.RAM {
		if r.Start < (sec+1)*SectionSize && r.End > sec*SectionSize {
			return true
		}
	}
	return false
}

// mapVA is the virtual address of the struct page of pfn.
func (m *Machine) mapVA(pfn uint64) uint64 {
	if m.Opt.Model == Vmemmap {
		return m.VmemmapBase() + pfn*structPage
	}
	return m.PageOffset() + m.StructPage(pfn)
}

// SectionSlot is the physical address of section_mem_map of a section.
func (m *Machine) SectionSlot(sec uint64) uint64 {
	at := m.Symbols["mem_section data"] - m.PageOffset()
	if m.Opt.Model == SparseFlat {
		return at + sec*16
	}
	return m.Get64(at+sec/perRoot*8) - m.PageOffset() + sec%perRoot*16
}

// buildMemSection makes the roots and returns where a section's entry lies.
func (m *Machine) buildMemSection(nsec uint64) func(sec uint64) uint64 {
	total := uint64(1) << (m.maxPhysmemBits() - 27)
	var at uint64
	if m.Opt.Model == SparseFlat {
		at = m.alloc(max(total*16, PageSize), PageSize)
		m.blank(at, total*16)
	} else {
		roots := total / perRoot
		at = m.alloc(max(roots*8, PageSize), PageSize)
		m.blank(at, roots*8)
		for i := uint64(0); i*perRoot < nsec; i++ {
			root := m.alloc(PageSize, PageSize)
			m.Page(root / PageSize)
			m.Put64(at+i*8, m.PageOffset()+root)
		}
	}
	m.Symbols["mem_section data"] = m.PageOffset() + at
	m.Put64(m.variable("mem_section", 8, 8), m.PageOffset()+at)
	return m.SectionSlot
}

func (m *Machine) blank(pa, n uint64) {
	for a := pa; a < pa+n; a += PageSize {
		m.Page(a / PageSize)
	}
}

// reserveBoot marks what a kernel takes before its allocator is up: its image
// and the struct pages.
func (m *Machine) reserveBoot() {
	for _, r := range append([]Range{m.Image}, m.Maps...) {
		for pfn := r.Start / PageSize; pfn < r.End/PageSize; pfn++ {
			m.putPage(pfn, zoneBits|1<<m.Opt.Era.Reserved, 0, 0, -1, 1)
		}
	}
}

// clearMap makes every struct page one of a kernel page; those without RAM
// look as the kernel leaves them, reserved.
func (m *Machine) clearMap(first, end uint64) {
	for pfn := first; pfn < end; pfn++ {
		f := uint64(zoneBits)
		if _, ram := m.clip(pfn); !ram {
			f |= 1 << m.Opt.Era.Reserved
		}
		m.putPage(pfn, f, 0, 0, -1, 1)
	}
}
