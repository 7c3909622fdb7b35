package matrix

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// memory is a core and what the rules look at in it.
type memory struct {
	pageTables
	src    vmcore.Source
	r      vmcore.Reader
	info   *kernel.Info
	limit  uint64 // pfns of RAM are below
	ram    *pfnset.Set
	image  []pfns   // of the kernel
	ragged []uint64 // pfns that are RAM in part only
	page   map[string]int
	flags  map[string]uint64
}

// pageTables are where the kernel describes its pages.
type pageTables interface {
	// structPage reads the struct page of a pfn; nil where there is none.
	structPage(pfn uint64) []byte
	// sectionFlags are the bits of mem_section's section_mem_map of a pfn that
	// are no part of an address.
	sectionFlags(pfn uint64) uint64
}

// coreTables are those in a core.
type coreTables struct {
	info   *kernel.Info
	space  *kernel.Space
	memmap *kernel.MemMap
	size   uint64 // of a struct page
}

type pfns struct{ start, end uint64 }

// openMemory opens a core. Everything must be understood: these are kernels that we
// claim to know.
func openMemory(path string) (_ *memory, err error) {
	m := &memory{}
	if m.src, err = vmcore.OpenPath(path); err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	defer func() {
		if err != nil {
			m.Close()
			err = fmt.Errorf("matrix: %w", err)
		}
	}()
	if m.r, err = m.src.NewReader(); err != nil {
		return nil, err
	}
	if m.info, err = kernel.ParseInfo(m.src.VMCoreInfo()); err != nil {
		return nil, err
	}
	space, err := kernel.NewSpace(m.info, m.src.Machine(), m.r)
	if err != nil {
		return nil, err
	}
	ram := m.src.RAM()
	m.limit = (ram[len(ram)-1].End-1)>>12 + 1
	m.ram = pfnset.New(m.limit)
	for _, r := range ram {
		m.ram.AddRange(r.Start>>12, (r.End-1)>>12+1)
	}
	memmap, err := kernel.NewMemMap(m.info, space, ram)
	if err != nil {
		return nil, err
	}
	size, _ := m.info.Size("page")
	m.pageTables = &coreTables{info: m.info, space: space, memmap: memmap, size: size}
	for _, k := range m.src.KernelImage() {
		m.image = append(m.image, pfns{k.Start >> 12, (k.End-1)>>12 + 1})
	}
	if m.ragged, err = raggedPages(path); err != nil {
		return nil, err
	}
	m.parse()
	return m, nil
}

// parse takes from VMCOREINFO where the fields of a struct page are.
func (m *memory) parse() {
	m.page, m.flags = map[string]int{}, map[string]uint64{}
	for _, name := range []string{"page.flags", "page.mapping", "page._mapcount", "page.private", "page.compound_head", "page.compound_info"} {
		if off, ok := m.info.Offset(name); ok {
			m.page[name] = int(off)
		}
	}
	if off, ok := m.page["page.compound_info"]; ok {
		m.page["page.compound_head"] = off
	}
	for _, name := range []string{"PG_lru", "PG_slab", "PG_hwpoison", "PG_private", "PG_head_mask"} {
		if n, ok := m.info.Number(name); ok {
			m.flags[name] = uint64(n)
		}
	}
}

func (m *memory) Close() {
	if m.r != nil {
		m.r.Close()
	}
	m.src.Close()
}

// raggedPages are the pages that a PT_LOAD holds a part of, from the program headers
// alone.
func raggedPages(path string) ([]uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	e, err := elf.NewFile(f)
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, p := range e.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		for _, end := range []uint64{p.Paddr, p.Paddr + p.Memsz} {
			if end&0xfff != 0 {
				all = append(all, end>>12)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// at is the virtual address of a pfn's struct page, 0 where there is none.
func (t *coreTables) at(pfn uint64) uint64 {
	i, ok := slices.BinarySearchFunc(t.memmap.Sections, pfn, func(s kernel.Section, pfn uint64) int {
		switch {
		case s.End <= pfn:
			return -1
		case s.Start > pfn:
			return 1
		}
		return 0
	})
	if !ok {
		return 0
	}
	sec := t.memmap.Sections[i]
	return sec.Map + (pfn-sec.Start)*t.size
}

func (t *coreTables) structPage(pfn uint64) []byte {
	at := t.at(pfn)
	if at == 0 {
		return nil
	}
	b := make([]byte, t.size)
	if t.space.ReadVirt(b, at) != nil {
		return nil
	}
	return b
}

func (m *memory) u64(p []byte, field string) uint64 {
	return binary.LittleEndian.Uint64(p[m.page[field]:])
}
func (m *memory) mapcount(p []byte) uint32 {
	return binary.LittleEndian.Uint32(p[m.page["page._mapcount"]:])
}
func (m *memory) tail(p []byte) bool { return m.u64(p, "page.compound_head")&1 != 0 }

// head is the pfn of the compound page that a tail belongs to: the nearest page before
// it that is marked as a head. The tail's own field is no pointer on new kernels.
func (m *memory) head(pfn uint64) (uint64, []byte) {
	for n := range uint64(1 << 18) {
		if n > pfn {
			break
		}
		p := m.structPage(pfn - n)
		if p == nil {
			break
		}
		if !m.tail(p) {
			return pfn - n, p
		}
	}
	return pfn, nil
}

func (t *coreTables) sectionFlags(pfn uint64) uint64 {
	length, ok1 := t.info.Length("mem_section")
	size, ok2 := t.info.Size("mem_section")
	member, ok3 := t.info.Offset("mem_section.section_mem_map")
	at, ok4 := t.info.Symbol("mem_section")
	if !ok1 || !ok2 || !ok3 || !ok4 || length == 0 || size == 0 {
		return 0
	}
	nr, perRoot := pfn>>15, 4096/size
	root, err := t.space.Uint64(at + nr/perRoot*8)
	if err != nil {
		return 0
	}
	v, err := t.space.Uint64(root + nr%perRoot*size + member)
	if err != nil {
		return 0
	}
	return v & 0xfff
}
