package main

import (
	"encoding/binary"
	"os"
)

// A sparse core is a machine that takes a sixtieth of its size on a disk: an ELF
// file of which only page tables, mem_section, struct pages and a few names were
// written. Layouts are those of Linux 6.1 on x86-64
// without KASLR: include/linux/mmzone.h, mm_types.h, kernel/crash_core.c.
const (
	pageSize    = 4 << 10
	sectionSize = 128 << 20
	mapSize     = 2 << 20 // struct pages of a section
	maxOrder    = 10      // of free blocks

	zone     = 0x17ffffc0000000 // and node: page.flags of all pages
	reserved = 1 << 12          // PG_reserved

	vmemmap   = 0xffffea0000000000
	directVA  = 0xffff888000000000
	imageVA   = 0xffffffff80000000
	imageAt   = 16 << 20 // where the kernel image starts, in memory and below imageVA
	imageSize = 96 << 20 // and where it ends: page tables are in it

	tablesAt = 64 << 20 // page tables, from here up
	mapsAt   = 4 << 30  // struct pages, from here up
	dataAt   = 1 << 20  // file offset of physical address 0
)

// sparse is a core being written.
type sparse struct {
	f    *os.File
	next uint64 // where the next table goes
	size uint64 // RAM in bytes
	root uint64
	err  error
}

// writeSparse makes a core of size bytes of RAM, a multiple of 1 GiB, above 8 GiB.
// All memory is free in blocks of 4 MiB, but for what lies below them.
func writeSparse(name string, size uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	s := &sparse{f: f, next: tablesAt, size: size}
	if err := f.Truncate(int64(dataAt + size)); err != nil {
		return err
	}
	s.root = s.table()
	for pa := uint64(0); pa < imageSize; pa += 2 << 20 {
		s.mapLarge(imageVA+pa, pa, 2<<20)
	}
	for pa := uint64(0); pa < size; pa += 1 << 30 {
		s.mapLarge(directVA+pa, pa, 1<<30)
	}
	sections := size / sectionSize
	const perRoot = pageSize / 16
	roots := s.next
	s.next += 2048 * 8
	var first []byte // the section_mem_map of one root
	for sec := range sections {
		s.mapLarge(vmemmap+sec*mapSize, mapsAt+sec*mapSize, 2<<20)
		if sec%perRoot == 0 {
			first = first[:0]
			s.put64(roots+sec/perRoot*8, directVA+s.next)
		}
		first = binary.LittleEndian.AppendUint64(first, vmemmap|0xf)
		first = append(first, make([]byte, 8)...)
		if len(first) == pageSize || sec == sections-1 {
			s.put(s.next, first)
			s.next += pageSize
		}
	}
	used := (mapsAt + sections*mapSize + 4<<20 - 1) &^ (4<<20 - 1)
	s.kernelPages(used / pageSize)
	s.freePages(used/pageSize, size/pageSize)
	const uts = imageAt // of init_uts_ns
	for i, text := range []string{"Linux", "sparse", "6.1.0-sparse", "#1 SMP", "x86_64", "(none)"} {
		s.put(uts+uint64(i*65), []byte(text))
	}
	s.header(s.info(roots, uts))
	if s.err != nil {
		return s.err
	}
	return f.Close()
}

func (s *sparse) put(pa uint64, b []byte) {
	if _, err := s.f.WriteAt(b, int64(dataAt+pa)); s.err == nil {
		s.err = err
	}
}

func (s *sparse) put64(pa, v uint64) { s.put(pa, binary.LittleEndian.AppendUint64(nil, v)) }

func (s *sparse) table() uint64 {
	pa := s.next
	s.next += pageSize
	return pa
}

// mapLarge maps one page of 2 MiB or of 1 GiB.
func (s *sparse) mapLarge(va, pa, n uint64) {
	const present, large = 0x63, 0x80
	at := s.root
	for shift := 39; ; shift -= 9 {
		slot := at + va>>shift&511*8
		if n == 1<<shift {
			s.put64(slot, pa|present|large)
			return
		}
		var b [8]byte
		if _, err := s.f.ReadAt(b[:], int64(dataAt+slot)); err != nil && s.err == nil {
			s.err = err
		}
		if at = binary.LittleEndian.Uint64(b[:]) &^ 0xfff; at == 0 {
			at = s.table()
			s.put64(slot, at|present)
		}
	}
}

// kernelPages makes the struct pages of the first n pages: the kernel's own.
func (s *sparse) kernelPages(n uint64) {
	const some = 16 << 10
	p := make([]byte, 0, some*64)
	for range some {
		p = append(p, structPage(zone|reserved, 0, 0xffffffff, 1)...)
	}
	for pfn := uint64(0); pfn < n; pfn += some {
		s.put(mapsAt+pfn*64, p[:min(some, n-pfn)*64])
	}
}

// structPage is a struct page: no list, no mapping.
func structPage(flags, private uint64, mapcount, refcount uint32) []byte {
	p := make([]byte, 64)
	le := binary.LittleEndian
	le.PutUint64(p[0:], flags)
	le.PutUint64(p[8:], directVA+0x100) // lru
	le.PutUint64(p[16:], directVA+0x100)
	le.PutUint64(p[40:], private)
	le.PutUint32(p[48:], mapcount)
	le.PutUint32(p[52:], refcount)
	return p
}

// freePages makes the struct pages of free blocks of the greatest order. All of
// them are written: a scan takes what nobody ever wrote for no struct page.
func (s *sparse) freePages(pfn, end uint64) {
	const buddy = 0xffffffff - 128 // PAGE_BUDDY_MAPCOUNT_VALUE
	block := structPage(zone, maxOrder, buddy, 0)
	for range 1<<maxOrder - 1 {
		block = append(block, structPage(zone, 0, 0xffffffff, 0)...)
	}
	for ; pfn < end; pfn += 1 << maxOrder {
		s.put(mapsAt+pfn*64, block)
	}
}
