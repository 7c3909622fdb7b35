package main

import (
	"encoding/binary"
	"os"
)

// A sparse core is a machine of any size in a file of some MiB: an ELF core of which
// only page tables, mem_section, a few names and some sections' worth of struct pages
// were written. Each section has struct pages of its own, at addresses of its own;
// but the program headers find them all in the same few places of the file, as they
// do the memory of all users. Layouts are those of Linux 6.1 on x86-64 without KASLR:
// include/linux/mmzone.h, mm_types.h, kernel/crash_core.c.
const (
	pageSize    = 4 << 10
	sectionSize = 128 << 20
	mapSize     = 2 << 20 // struct pages of a section
	mapPages    = sectionSize / pageSize
	maxOrder    = 10 // of free blocks

	vmemmap   = 0xffffea0000000000
	directVA  = 0xffff888000000000
	imageVA   = 0xffffffff80000000
	imageAt   = 16 << 20 // where the kernel image starts, in memory and below imageVA
	imageSize = 96 << 20 // and where it ends: page tables are in it

	tablesAt = 64 << 20 // page tables, from here up
	mapsAt   = 4 << 30  // struct pages, from here up
)

// Where things are in the file.
const (
	lowAt      = 16 << 20 // memory below mapsAt; headers come before
	templateAt = lowAt + mapsAt
	dataAt     = templateAt + templates*mapSize
	dataSize   = 1 << 30 // of all other memory, which is zeros
)

// sparse is a core being written.
type sparse struct {
	f      *os.File
	next   uint64 // where the next table goes
	size   uint64 // RAM in bytes
	varied bool
	root   uint64
	err    error
}

// writeSparse makes a core of size bytes of RAM, a multiple of 1 GiB, above 8 GiB.
// The memory above the struct pages is free in blocks of 4 MiB, or, when it is to be
// varied, used for everything, one of 32 pages the kernel's.
func writeSparse(name string, size uint64, varied bool) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	s := &sparse{f: f, next: tablesAt, size: size, varied: varied}
	if err := f.Truncate(dataAt + dataSize); err != nil {
		return err
	}
	s.root = s.table()
	for pa := uint64(0); pa < imageSize; pa += 2 << 20 {
		s.mapLarge(imageVA+pa, pa, 2<<20)
	}
	for pa := uint64(0); pa < size; pa += 1 << 30 {
		s.mapLarge(directVA+pa, pa, 1<<30)
	}
	roots := s.sections()
	for i := range templates {
		s.write(templateAt+int64(i)*mapSize, template(i))
	}
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

// sections writes mem_section and maps the struct pages.
func (s *sparse) sections() (roots uint64) {
	sections := s.size / sectionSize
	const perRoot = pageSize / 16
	roots = s.next
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
	return roots
}

// mapsEnd is where the struct pages end.
func (s *sparse) mapsEnd() uint64 { return mapsAt + s.size/sectionSize*mapSize }

// template is the number of the struct pages that a section has.
func (s *sparse) template(section uint64) uint64 {
	switch used := (s.mapsEnd() + sectionSize - 1) / sectionSize; {
	case section < used:
		return templateKernel
	case s.varied:
		return templateVaried + section%(templates-templateVaried)
	}
	return templateFree
}

func (s *sparse) write(off int64, b []byte) {
	if _, err := s.f.WriteAt(b, off); s.err == nil {
		s.err = err
	}
}

// put writes to memory below mapsAt.
func (s *sparse) put(pa uint64, b []byte) { s.write(int64(lowAt+pa), b) }

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
		if _, err := s.f.ReadAt(b[:], int64(lowAt+slot)); err != nil && s.err == nil {
			s.err = err
		}
		if at = binary.LittleEndian.Uint64(b[:]) &^ 0xfff; at == 0 {
			at = s.table()
			s.put64(slot, at|present)
		}
	}
}
