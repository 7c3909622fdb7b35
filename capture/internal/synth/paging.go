package synth

import "fmt"

// Virtual addresses of the kernel's areas, without randomised bases
// (Documentation/arch/x86/x86_64/mm.rst).
const (
	StartKernelMap = 0xffffffff80000000
	textOffset     = 0x1000000 // CONFIG_PHYSICAL_START
	imageSize      = 2 << 20
	// SectionSize is the bytes of one memory section of x86-64.
	SectionSize = 1 << 27
)

// PageOffset is the virtual address of the direct map.
func (m *Machine) PageOffset() uint64 { return m.pick(0xffff888000000000, 0xff11000000000000) }

// VmemmapBase is the virtual address of the struct page of pfn 0.
func (m *Machine) VmemmapBase() uint64 { return m.pick(0xffffea0000000000, 0xffd4000000000000) }

// VmallocBase is the first virtual address of the vmalloc area.
func (m *Machine) VmallocBase() uint64 { return m.pick(0xffffc90000000000, 0xffa0000000000000) }

func (m *Machine) pick(l4, l5 uint64) uint64 {
	if m.Opt.Level5 {
		return l5
	}
	return l4
}

// layout puts the kernel image into the first RAM range that has room.
func (m *Machine) layout() {
	for i, r := range m.Opt.RAM {
		start := (max(r.Start, 1) + imageSize - 1) &^ (imageSize - 1)
		if start+imageSize <= m.tops[i] {
			m.Image = Range{start, start + imageSize}
			break
		}
	}
	if m.Image.End == 0 {
		panic("synth: no RAM range has room for the kernel image")
	}
	m.nextImg = m.Image.Start
	m.PhysBase = m.Image.Start - textOffset - m.Opt.KASLR
	for pfn := m.Image.Start / PageSize; pfn < m.Image.End/PageSize; pfn++ {
		m.used[pfn] = true
	}
}

// ImageVA is the virtual address of a physical address of the kernel image.
func (m *Machine) ImageVA(pa uint64) uint64 { return pa - m.PhysBase + StartKernelMap }

// variable gives room in the kernel image to a named variable.
func (m *Machine) variable(name string, size, align uint64) (pa uint64) {
	pa = (m.nextImg + align - 1) &^ (align - 1)
	m.nextImg = pa + size
	if m.nextImg > m.Image.End {
		panic("synth: kernel image is full at " + name)
	}
	m.Symbols[name] = m.ImageVA(pa)
	return pa
}

// alloc gives whole pages of RAM, from the top of the highest range with room.
func (m *Machine) alloc(size, align uint64) uint64 {
	for i := len(m.Opt.RAM) - 1; i >= 0; i-- {
		pa := (m.tops[i] - size) &^ (align - 1)
		if m.tops[i] < size || pa < m.Opt.RAM[i].Start || m.overlaps(pa, size) {
			continue
		}
		m.tops[i] = pa
		for a := pa; a < pa+size; a += PageSize {
			m.used[a/PageSize] = true
		}
		return pa
	}
	panic(fmt.Sprintf("synth: no room for %d bytes aligned to %#x", size, align))
}

func (m *Machine) overlaps(pa, size uint64) bool {
	return pa < m.Image.End && m.Image.Start < pa+size
}

func (m *Machine) buildTables() {
	m.Root = m.variable("init_top_pgt", PageSize, PageSize)
	m.Tables = append(m.Tables, m.Root)
	m.Page(m.Root / PageSize)
	for va := m.Image.Start; va < m.Image.End; va += 2 << 20 {
		m.Map(m.ImageVA(va), va, 2<<20)
	}
	for _, r := range m.Opt.RAM { // the direct map, by 2 MiB pages
		for pa := r.Start &^ (2<<20 - 1); pa < r.End; pa += 2 << 20 {
			m.Map(m.PageOffset()+pa, pa, 2<<20)
		}
	}
	for i := range uint64(4) { // a kernel stack
		pa := m.alloc(PageSize, PageSize)
		m.Stack = append(m.Stack, pa)
		m.Map(m.VmallocBase()+0x4000+i*PageSize, pa, PageSize)
		m.Put64(pa, 0x57ac57ac57ac57ac)
	}
}

// Map enters one translation of size bytes (4 KiB, 2 MiB or 1 GiB), making the
// tables that are missing.
func (m *Machine) Map(va, pa, size uint64) {
	const present, psize = 0x63, 0x80 // PRESENT|RW|ACCESSED|DIRTY, PSE
	top := 39
	if m.Opt.Level5 {
		top = 48
	}
	table := m.Root
	for shift := top; ; shift -= 9 {
		slot := table + va>>shift&511*8
		switch {
		case size == 1<<shift && shift == 12:
			m.Put64(slot, pa|present|m.Opt.SMEMask)
			return
		case size == 1<<shift:
			m.Put64(slot, pa|present|psize|m.Opt.SMEMask)
			return
		}
		entry := m.Get64(slot)
		if entry == 0 {
			next := m.alloc(PageSize, PageSize)
			m.Page(next / PageSize)
			m.Tables = append(m.Tables, next)
			entry = next | 0x67 | m.Opt.SMEMask
			m.Put64(slot, entry)
		}
		table = entry &^ m.Opt.SMEMask & 0x000ffffffffff000
	}
}

// Entry gives the physical address of the page-table entry that maps va, and
// its size; for tests that break it. It panics when va is not mapped.
func (m *Machine) Entry(va uint64) (slot, size uint64) {
	shift := 39
	if m.Opt.Level5 {
		shift = 48
	}
	for table := m.Root; ; shift -= 9 {
		slot = table + va>>shift&511*8
		e := m.Get64(slot)
		if e&1 == 0 {
			panic(fmt.Sprintf("synth: %#x is not mapped", va))
		}
		if shift == 12 || e&0x80 != 0 {
			return slot, 1 << shift
		}
		table = e &^ m.Opt.SMEMask & 0x000ffffffffff000
	}
}
