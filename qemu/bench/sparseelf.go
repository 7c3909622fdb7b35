package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// info is the VMCOREINFO.
func (s *sparse) info(roots, uts uint64) string {
	return strings.TrimSpace(`
OSRELEASE=6.1.0-sparse
PAGESIZE=4096
OFFSET(uts_namespace.name)=0
LENGTH(mem_section)=2048
SIZE(mem_section)=16
OFFSET(mem_section.section_mem_map)=0
NUMBER(SECTION_SIZE_BITS)=27
NUMBER(MAX_PHYSMEM_BITS)=46
SIZE(page)=64
SIZE(pglist_data)=174208
SIZE(zone)=1536
SIZE(free_area)=88
SIZE(list_head)=16
SIZE(nodemask_t)=128
OFFSET(page.flags)=0
OFFSET(page._refcount)=52
OFFSET(page.mapping)=24
OFFSET(page.lru)=8
OFFSET(page._mapcount)=48
OFFSET(page.private)=40
OFFSET(page.compound_dtor)=16
OFFSET(page.compound_order)=17
OFFSET(page.compound_head)=8
OFFSET(free_area.free_list)=0
OFFSET(list_head.next)=0
OFFSET(list_head.prev)=8
LENGTH(zone.free_area)=11
LENGTH(free_area.free_list)=5
NUMBER(NR_FREE_PAGES)=0
NUMBER(PG_lru)=4
NUMBER(PG_private)=13
NUMBER(PG_swapcache)=10
NUMBER(PG_swapbacked)=19
NUMBER(PG_slab)=9
NUMBER(PG_head_mask)=65536
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129
NUMBER(HUGETLB_PAGE_DTOR)=2
NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257
NUMBER(phys_base)=0
NUMBER(pgtable_l5_enabled)=0
KERNELOFFSET=0
NUMBER(KERNEL_IMAGE_SIZE)=1073741824
NUMBER(sme_mask)=0
CRASHTIME=1700000000
`) + fmt.Sprintf(`
SYMBOL(init_uts_ns)=%x
SYMBOL(_stext)=%x
SYMBOL(swapper_pg_dir)=%x
SYMBOL(init_top_pgt)=%x
SYMBOL(mem_section)=%x
`, imageVA+uts, uint64(imageVA+imageAt), imageVA+s.root, imageVA+s.root, directVA+roots)
}

// header writes the ELF header, the note and the PT_LOADs: the image, low memory,
// the struct pages section by section, and the rest in pieces of dataSize.
func (s *sparse) header(info string) {
	const phdrSize, xnum = 56, 0xffff
	le := binary.LittleEndian
	note := le.AppendUint32(nil, 11)
	note = le.AppendUint32(note, uint32(len(info)))
	note = le.AppendUint32(note, 0)
	note = append(note, "VMCOREINFO\x00\x00"...)
	note = append(note, info...)
	note = append(note, make([]byte, -len(note)&3)...)
	const noteAt = lowAt - 64<<10
	s.write(noteAt, note)

	h := make([]byte, 64)
	n := uint32(0)
	phdr := func(typ uint32, off, va, pa, size uint64) {
		n++
		h = le.AppendUint32(h, typ)
		h = le.AppendUint32(h, 7)
		for _, v := range []uint64{off, va, pa, size, size, 0} {
			h = le.AppendUint64(h, v)
		}
	}
	phdr(4, noteAt, 0, 0, uint64(len(note)))
	phdr(1, lowAt+imageAt, imageVA+imageAt, imageAt, imageSize-imageAt)
	phdr(1, lowAt, directVA, 0, mapsAt)
	for sec := range s.size / sectionSize {
		pa := mapsAt + sec*mapSize
		phdr(1, templateAt+s.template(sec)*mapSize, directVA+pa, pa, mapSize)
	}
	for pa := s.mapsEnd(); pa < s.size; pa += dataSize {
		phdr(1, dataAt, directVA+pa, pa, min(dataSize, s.size-pa))
	}
	copy(h, "\x7fELF\x02\x01\x01")
	le.PutUint16(h[16:], 4)  // ET_CORE
	le.PutUint16(h[18:], 62) // EM_X86_64
	le.PutUint32(h[20:], 1)
	le.PutUint64(h[32:], 64)
	le.PutUint16(h[52:], 64)
	le.PutUint16(h[54:], phdrSize)
	le.PutUint16(h[56:], uint16(min(n, xnum)))
	if n >= xnum { // then the first section header has the number
		le.PutUint64(h[40:], uint64(len(h)))
		le.PutUint16(h[58:], 64)
		le.PutUint16(h[60:], 1)
		shdr := make([]byte, 64)
		le.PutUint64(shdr[32:], 1)
		le.PutUint32(shdr[44:], n)
		h = append(h, shdr...)
	}
	s.write(0, h)
}
