package kernel

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// Section is a span of pfns with its struct pages: one memory section of a
// sparse model, or a part of a flat one.
type Section struct {
	Start, End uint64 // pfns; End is not in it
	Map        uint64 // virtual address of the struct page of Start
}

// Span is a part of the kernel's address space, in bytes.
type Span struct{ VA, Size uint64 }

// MemMap tells where the struct pages of the RAM lie.
type MemMap struct {
	// Model is "sparse, extreme", "sparse" or "flat".
	Model string
	// Sections is sorted; it has those sections that hold RAM and whose struct
	// pages were found and are mapped.
	Sections []Section
	// Absent is the number of sections that hold RAM and are not present, Bad
	// of those that are present and decode to nothing usable.
	Absent, Bad int
	// FirstBad describes one of the bad sections.
	FirstBad string
	// Tables is where mem_section itself lies.
	Tables []Span
}

// Flags of section_mem_map (include/linux/mmzone.h). The flags have grown to 6
// bits in 6.15; the map's address is page aligned, so 12 bits are masked.
const (
	sectionPresent  = 1 << 0 // SECTION_MARKED_PRESENT
	sectionFlagMask = 1<<12 - 1
)

// Bounds on what VMCOREINFO may claim.
const (
	maxStructPage  = 256 // bytes; 64 on real kernels, 56 with fewer options
	minStructPage  = 32
	maxSectionBits = 34
	maxPhysBits    = 52
)

// NewMemMap finds the struct pages of the given RAM (sorted, as [vmcore.Source]
// gives it), by mem_section or mem_map. Sections that do not decode are
// counted, not fatal. It is an error when keys are missing or no section at
// all decodes.
func NewMemMap(info *Info, s *Space, ram []vmcore.Range) (*MemMap, error) {
	size, ok := info.Size("page")
	if !ok || size < minStructPage || size > maxStructPage || size%8 != 0 {
		return nil, fmt.Errorf("memory model of kernel %s: SIZE(page) is %d or missing", info.Release, size)
	}
	var m *MemMap
	var err error
	if _, sparse := info.Symbol("mem_section"); sparse {
		m, err = newSparse(info, s, ram, size)
	} else {
		m, err = newFlat(info, s, ram, size)
	}
	if err != nil {
		return nil, fmt.Errorf("memory model of kernel %s: %w", info.Release, err)
	}
	return m, nil
}

// newFlat reads FLATMEM: mem_map points at the struct page of pfn 0 (on x86-64
// and arm64), one array for all.
func newFlat(info *Info, s *Space, ram []vmcore.Range, size uint64) (*MemMap, error) {
	at, ok := info.Symbol("mem_map")
	if !ok {
		return nil, errors.New("VMCOREINFO has neither SYMBOL(mem_section) nor SYMBOL(mem_map)")
	}
	base, err := s.Uint64(at)
	if err != nil {
		return nil, fmt.Errorf("read mem_map: %w", err)
	}
	m := &MemMap{Model: "flat", Tables: []Span{{at, 8}}}
	const part = 1 << 15 // pfns
	var next uint64
	for _, r := range ram {
		start, end := pfns(r, info.PageSize)
		for pfn := max(next, start&^(part-1)); pfn < end; pfn += part {
			next = pfn + part
			m.add(s, Section{pfn, pfn + part, base + pfn*size}, max(pfn, start), size)
		}
	}
	if len(m.Sections) == 0 {
		return nil, fmt.Errorf("mem_map at %#x decodes to no usable struct page (%s)", base, m.FirstBad)
	}
	return m, nil
}

// pfns gives the pages that a range touches.
func pfns(r vmcore.Range, pageSize uint64) (start, end uint64) {
	return r.Start / pageSize, (r.End-1)/pageSize + 1
}

// add appends the section when the struct page of pfn, which has RAM, is
// kernel memory that is mapped.
func (m *MemMap) add(s *Space, sec Section, pfn, size uint64) {
	va := sec.Map + (pfn-sec.Start)*size
	_, _, err := s.Translate(va)
	if err != nil || !s.IsKernel(sec.Map) || sec.Map+(sec.End-sec.Start)*size < sec.Map {
		m.Bad++
		if m.FirstBad == "" {
			m.FirstBad = fmt.Sprintf("struct page of pfn %#x at %#x: %v", pfn, va, err)
		}
		return
	}
	m.Sections = append(m.Sections, sec)
}

// sparse is the geometry of mem_section.
type sparse struct {
	info    *Info
	ram     []vmcore.Range
	page    uint64 // sizeof(struct page)
	size    uint64 // sizeof(struct mem_section)
	member  uint64 // offset of section_mem_map
	per     uint64 // pfns in a section
	total   uint64 // sections that MAX_PHYSMEM_BITS allows
	length  uint64 // LENGTH(mem_section)
	perRoot uint64
}

func newSparseGeometry(info *Info, ram []vmcore.Range, page uint64) (*sparse, error) {
	g := &sparse{info: info, ram: ram, page: page}
	var ok1, ok2, ok3 bool
	g.length, ok1 = info.Length("mem_section")
	g.size, ok2 = info.Size("mem_section")
	g.member, ok3 = info.Offset("mem_section.section_mem_map")
	if !ok1 || !ok2 || !ok3 {
		return nil, errors.New("VMCOREINFO lacks LENGTH(mem_section), SIZE(mem_section) or OFFSET(mem_section.section_mem_map)")
	}
	if g.length == 0 || g.size < 8 || g.size > info.PageSize || g.member > g.size-8 {
		return nil, fmt.Errorf("mem_section of %d bytes, section_mem_map at %d, length %d: not possible", g.size, g.member, g.length)
	}
	sectionBits, ok := info.Number("SECTION_SIZE_BITS")
	if !ok {
		sectionBits = 27 // x86-64; arm64 exports it
	}
	physBits, ok := info.Number("MAX_PHYSMEM_BITS")
	if !ok {
		physBits = 46
		if l5, _ := info.Number("pgtable_l5_enabled"); l5 != 0 {
			physBits = 52
		}
	}
	pageBits := int64(bits.TrailingZeros64(info.PageSize))
	if sectionBits <= pageBits || sectionBits > maxSectionBits || physBits < sectionBits || physBits > maxPhysBits {
		return nil, fmt.Errorf("SECTION_SIZE_BITS %d with MAX_PHYSMEM_BITS %d and pages of %d bytes: not possible", sectionBits, physBits, info.PageSize)
	}
	g.per = 1 << (sectionBits - pageBits)
	g.total = 1 << (physBits - sectionBits)
	g.perRoot = info.PageSize / g.size
	return g, nil
}
