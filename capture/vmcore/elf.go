package vmcore

import (
	"debug/elf"
	"fmt"
	"io"
	"math"
	"sync/atomic"

	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// kernelMap is where x86-64 maps the kernel image, up to the modules
// (Documentation/arch/x86/x86_64/mm.rst).
const (
	kernelMapStart = 0xffffffff80000000
	kernelMapEnd   = 0xffffffffc0000000
)

// noPaddr in p_paddr marks a segment that is not physical memory but a view of
// it: vmalloc, vmemmap (fs/proc/kcore.c).
const noPaddr = ^uint64(0)

// Mapped is physical memory at the kernel's virtual address Addr, as the program
// headers of an ELF core have it.
type Mapped struct {
	Range
	Addr uint64
	// Image says that it is the kernel's own image.
	Image bool
}

// maxNotes bounds the PT_NOTE segments together, in bytes.
const maxNotes = kdumpfmt.MaxNotes

type elfSource struct {
	file     io.ReaderAt
	size     int64
	mapFD    int // for mmap(2); -1 when the file is read
	noMap    atomic.Bool
	machine  elf.Machine
	cut      written // nil unless the file is flattened and incomplete
	flat     string  // what Format adds
	pageSize uint64
	ram      []Range
	image    []Range
	mapped   []Mapped
	lost     []Range // RAM that a truncated file does not hold
	extents  []extent
	notes    []byte
	info     []byte
	close    func() error
}

// OpenELF opens an ELF core file, such as /proc/vmcore. It is [Open] without
// the other formats, and without their decoders in the program.
//
// Segments may overlap; the same physical memory is then read from one of
// them. Where p_memsz is greater than p_filesz, the pages behind were left out
// of the file: reading them gives [ErrNoPage].
func OpenELF(f File, opts ...Option) (Source, error) {
	o := newOptions(opts)
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("open ELF core: %w", err)
	}
	s := &elfSource{file: f, size: size, mapFD: -1, cut: o.cut, flat: o.flat}
	if err := s.parse(o.salvage); err != nil {
		return nil, fmt.Errorf("open ELF core: %w", err)
	}
	if fd, ok := f.(interface{ Fd() uintptr }); ok && (o.mmap || isProcFile(int(fd.Fd()))) {
		s.mapFD = int(fd.Fd())
	}
	return s, nil
}

func (s *elfSource) parse(salvage bool) error {
	h, err := readELFHeader(s.file, s.size)
	if err != nil {
		return err
	}
	s.machine = h.machine
	var loads []phdr
	var missing uint64 // bytes that the file would need to have more
	err = h.eachPhdr(s.file, s.size, func(i int, p *phdr) error {
		if p.typ != uint32(elf.PT_NOTE) && p.typ != uint32(elf.PT_LOAD) {
			return nil
		}
		if p.filesz > math.MaxInt64 || p.off > math.MaxInt64-p.filesz {
			return fmt.Errorf("program header %d: %#x bytes at file offset %#x", i, p.filesz, p.off)
		}
		if end := p.off + p.filesz; p.filesz > 0 && end > uint64(s.size) {
			missing = max(missing, end-uint64(s.size))
		}
		if p.typ == uint32(elf.PT_NOTE) {
			return s.addNotes(p)
		}
		if p.paddr == noPaddr {
			return nil
		}
		if p.memsz < p.filesz || p.memsz > maxPhys || p.paddr > maxPhys-p.memsz {
			return fmt.Errorf("program header %d: %#x bytes, %#x of them in the file, at physical address %#x",
				i, p.memsz, p.filesz, p.paddr)
		}
		if p.memsz > 0 {
			loads = append(loads, *p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if missing > 0 && !salvage {
		return fmt.Errorf("%w: %d bytes, %d are missing", ErrTruncated, s.size, missing)
	}
	if len(loads) == 0 {
		return fmt.Errorf("ELF core has no memory: no PT_LOAD in %d program headers", h.phnum)
	}
	if isProcess(loads) {
		return fmt.Errorf("%w: core of a process, not of a kernel", ErrNotCore)
	}
	s.info = findVMCoreInfo(s.notes)
	if s.pageSize = pageSizeOf(s.info); s.pageSize == 0 {
		s.pageSize = minPageSize
	}
	s.build(loads)
	return nil
}

// isProcess tells the core of a process: its segments have no physical address.
func isProcess(loads []phdr) bool {
	for _, p := range loads {
		if p.paddr != 0 {
			return false
		}
	}
	return len(loads) > 1
}

// addNotes appends a PT_NOTE segment, or what the file has of it.
func (s *elfSource) addNotes(p *phdr) error {
	if p.off >= uint64(s.size) {
		return nil
	}
	n := min(p.filesz, uint64(s.size)-p.off)
	if n > maxNotes-uint64(len(s.notes)) {
		return fmt.Errorf("notes of %d bytes: at most %d are read", n+uint64(len(s.notes)), maxNotes)
	}
	for len(s.notes)%4 != 0 {
		s.notes = append(s.notes, 0)
	}
	old := len(s.notes)
	s.notes = append(s.notes, make([]byte, n)...)
	return readFull(s.file, s.notes[old:], int64(p.off), s.size, "notes")
}

// build makes the tables of what lies where.
func (s *elfSource) build(loads []phdr) {
	size := uint64(s.size)
	for i := range loads {
		p := &loads[i]
		s.ram = append(s.ram, Range{p.paddr, p.paddr + p.memsz})
		if p.vaddr >= 1<<63 && p.vaddr <= -p.memsz { // others are a process's, or made up
			s.mapped = append(s.mapped, Mapped{Range{p.paddr, p.paddr + p.memsz}, p.vaddr, s.isImage(loads, i)})
		}
		if s.isImage(loads, i) {
			s.image = append(s.image, Range{p.paddr, p.paddr + p.memsz})
		}
		n := p.filesz
		if n > 0 && p.off+n > size {
			// Half a page is no page: its other half would read as zeros.
			n = size - min(p.off, size)
			n = max((p.paddr+n)&^(s.pageSize-1), p.paddr) - p.paddr
			s.lost = append(s.lost, Range{p.paddr + n, p.paddr + p.filesz})
		}
		if n > 0 {
			s.extents = append(s.extents, extent{p.paddr, p.paddr + n, int64(p.off)})
		}
	}
	s.ram, s.image, s.lost = mergeRanges(s.ram), mergeRanges(s.image), mergeRanges(s.lost)
	s.extents = mergeExtents(s.extents)
}

// isImage tells whether a segment shows the kernel image. On x86-64 its
// virtual address tells. Elsewhere the kernel puts it first and shows the same
// memory once more in the direct map, at another distance from its physical
// address (crash_prepare_elf64_headers of kernel/crash_core.c).
func (s *elfSource) isImage(loads []phdr, i int) bool {
	p := &loads[i]
	if s.machine == elf.EM_X86_64 {
		return p.vaddr >= kernelMapStart && p.vaddr < kernelMapEnd
	}
	if i != 0 {
		return false
	}
	for _, q := range loads[1:] {
		if p.paddr >= q.paddr && p.paddr+p.memsz <= q.paddr+q.memsz && p.vaddr-p.paddr != q.vaddr-q.paddr {
			return true
		}
	}
	return false
}

func (s *elfSource) Format() string       { return "elf" + s.flat }
func (s *elfSource) Machine() elf.Machine { return s.machine }
func (s *elfSource) PageSize() uint64     { return s.pageSize }
func (s *elfSource) RAM() []Range         { return s.ram }
func (s *elfSource) KernelImage() []Range { return s.image }
func (s *elfSource) Notes() []byte        { return s.notes }
func (s *elfSource) VMCoreInfo() []byte   { return s.info }

// Mapped gives the virtual addresses that the program headers tell, in their
// order.
func (s *elfSource) Mapped() []Mapped { return s.mapped }

func (s *elfSource) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}
