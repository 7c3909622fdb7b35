// Package synth builds small crashed machines for tests: memory that holds
// x86-64 page tables, mem_section, struct pages of chosen kinds, init_uts_ns,
// a printk_ringbuffer and the VMCOREINFO text that describes them, all
// consistent with each other, and the ELF core that /proc/vmcore would show.
//
// It owns no production code and is imported by tests only; impossible options
// panic. It shares no code with the packages it tests: addresses and layouts
// are written down here a second time, from the kernel's headers
// (include/linux/mmzone.h, mm_types.h, page-flags.h, kernel/vmcore_info.c,
// Documentation/arch/x86/x86_64/mm.rst, kernel/printk/printk_ringbuffer.h).
//
//	m := synth.New(synth.Options{Runs: []synth.Run{{Kind: synth.Anon, Count: 8}}})
//	core := m.ELF()                  // bytes of the core file
//	pfn := m.Runs[0].PFN             // where the run was put
//	m.Put64(m.StructPage(pfn), 1<<4) // corrupt something, then call ELF again
//
// A page that nothing was written to has a content made from its number, so
// that big machines cost little; see [Machine.ReadPhys].
package synth

import "slices"

// PageSize is the page size of the machines, in bytes.
const PageSize = 4096

// MemModel is the way the machine finds struct pages.
type MemModel int

// The memory models of the kernel (CONFIG_SPARSEMEM_VMEMMAP and so on).
const (
	Vmemmap    MemModel = iota // SPARSEMEM_EXTREME with one linear array, mapped by 2 MiB pages
	Sparse                     // SPARSEMEM_EXTREME, one array for each section in the direct map
	SparseFlat                 // as Sparse, with a flat mem_section array (no SPARSEMEM_EXTREME)
	FlatMem                    // one array, found by the variable mem_map
)

// Range is a span of physical addresses in bytes; End is not in it.
type Range struct{ Start, End uint64 }

// Ranges makes ranges of pairs of bounds: start, end, start, end.
func Ranges(bounds ...uint64) []Range {
	var out []Range
	for i := 0; i+1 < len(bounds); i += 2 {
		out = append(out, Range{bounds[i], bounds[i+1]})
	}
	return out
}

// Record is one record of the kernel log.
type Record struct {
	TimeNS   uint64
	Facility uint8
	Level    uint8 // 0 to 7
	Caller   uint32
	Text     string
}

// Options describes a machine. The zero value is a machine like a small
// Debian 6.1 guest: 4 levels, vmemmap, 24 MiB of RAM with a ragged low range
// and a hole between two sections.
type Options struct {
	Era      *Era // struct page layout and keys; nil is [V61]
	Model    MemModel
	Level5   bool    // 5-level page tables
	RAM      []Range // sorted; nil gives the default. Needs room: about 3 MiB and 2 MiB for each section of 128 MiB
	KASLR    uint64  // text offset, a multiple of 2 MiB below 1 GiB
	SMEMask  uint64  // AMD encryption bit that is set in all page-table entries
	SmallMap bool    // map vmemmap by 4 KiB pages
	Runs     []Run   // page kinds; the rest are kernel pages that belong to no list

	Release  string   // default "6.1.0-synth" or the era's
	Nodename string   // default "synth"
	Version  string   // default "#1 SMP synthetic"
	Time     int64    // CRASHTIME, default 1700000000
	CPUs     int      // NT_PRSTATUS notes, default 2
	Log      []Record // nil gives a few lines
	LogBits  uint     // log2 of the bytes of the text ring, default 12
	DescBits uint     // log2 of the number of descriptors, default 6

	// MemSectionVar exports the address of the variable mem_section, as a
	// vmlinux would tell, in place of the address it points at.
	MemSectionVar bool
	// NoImageAlias leaves the kernel-image PT_LOAD out of the core.
	NoImageAlias bool
	// Drop lists VMCOREINFO keys to leave out, e.g. "SIZE(page)".
	Drop []string
	// Extra is text appended to VMCOREINFO; whole lines.
	Extra string
}

// Machine is a crashed machine. Its exported fields say what is where; change
// its memory with the Put methods.
type Machine struct {
	Opt     Options           // with all defaults filled in
	Runs    []Run             // Opt.Runs, with the pfns that were chosen
	Symbols map[string]uint64 // virtual addresses of the variables
	Image   Range             // physical extent of the kernel image
	// PhysBase is phys_base: what the kernel adds to image addresses less
	// 0xffffffff80000000. It is "negative" with KASLR.
	PhysBase uint64
	Root     uint64   // physical address of the top page table
	Tables   []uint64 // physical addresses of all page tables, the root first
	Maps     []Range  // physical extents of struct page arrays
	Stack    []uint64 // physical pages that are mapped in the vmalloc area
	// Info is the VMCOREINFO text. Change it before calling ELF or Source.
	Info []byte

	pages   map[uint64]*[PageSize]byte // by pfn
	zero    map[uint64]bool
	used    map[uint64]bool // pfns given out
	nextImg uint64
	tops    []uint64 // per RAM range: allocation goes down from here
	mapBase map[uint64]uint64
	built   bool
}

// ELF is New(opt).ELF().
func ELF(opt Options) []byte { return New(opt).ELF() }

// New builds a machine.
func New(opt Options) *Machine {
	if opt.Era == nil {
		opt.Era = &V61
	}
	if opt.RAM == nil {
		opt.RAM = []Range{{0x1000, 0x9fc00}, {0x100000, 0x1000000}, {0x8000000, 0x8800000}}
	}
	opt.RAM = slices.Clone(opt.RAM)
	defaultTo(&opt.Release, opt.Era.Release)
	defaultTo(&opt.Nodename, "synth")
	defaultTo(&opt.Version, "#1 SMP synthetic")
	defaultTo(&opt.Time, 1700000000)
	defaultTo(&opt.CPUs, 2)
	defaultTo(&opt.LogBits, 12)
	defaultTo(&opt.DescBits, 6)
	if opt.Log == nil {
		opt.Log = []Record{
			{0, 0, 5, 0, "Linux version " + opt.Release},
			{1_000_000, 0, 6, 0, "Command line: crashkernel=128M"},
			{5_123_456_000, 0, 0, 1, "Kernel panic - not syncing: synthetic crash"},
		}
	}
	m := &Machine{
		Opt:     opt,
		Symbols: map[string]uint64{},
		pages:   map[uint64]*[PageSize]byte{},
		zero:    map[uint64]bool{},
		used:    map[uint64]bool{},
		mapBase: map[uint64]uint64{},
	}
	for _, r := range opt.RAM {
		m.tops = append(m.tops, r.End&^(PageSize-1))
	}
	m.layout()
	m.buildTables()
	m.buildMemMap()
	m.reserveBoot()
	m.buildNames()
	m.buildLog()
	m.placeRuns()
	m.Info = m.vmcoreinfo()
	m.built = true
	return m
}

func defaultTo[T comparable](v *T, d T) {
	if *v == *new(T) {
		*v = d
	}
}
