package synth

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"
)

func TestMachines(t *testing.T) {
	runs := []Run{
		{Kind: Free, Order: 3, Count: 2}, {Kind: Anon, Count: 5}, {Kind: Cache}, {Kind: CachePrivate},
		{Kind: Slab, Order: 3}, {Kind: Hugetlb, Order: 9}, {Kind: THP, Order: 9}, {Kind: Offline},
		{Kind: HWPoison}, {Kind: Kernel, Zero: true, Count: 4},
	}
	for name, opt := range map[string]Options{
		"default":  {},
		"6.12":     {Era: &V612},
		"7.1":      {Era: &V71, Level5: true},
		"sparse":   {Model: Sparse, KASLR: 0x12000000},
		"flat":     {Model: SparseFlat, MemSectionVar: true},
		"flatmem":  {Model: FlatMem, RAM: []Range{{0x1000, 0x1000000}}},
		"smallmap": {SmallMap: true, SMEMask: 1 << 47},
	} {
		t.Run(name, func(t *testing.T) {
			opt.Runs = runs
			m := New(opt)
			core := m.ELF()
			f, err := elf.NewFile(bytes.NewReader(core))
			if err != nil {
				t.Fatal(err)
			}
			if f.Type != elf.ET_CORE || len(f.Progs) != len(m.Opt.RAM)+2 {
				t.Fatalf("type %v, %d program headers", f.Type, len(f.Progs))
			}
			// the alias and the direct map show the same bytes
			a := f.Progs[1]
			for _, p := range f.Progs[2:] {
				if a.Paddr < p.Paddr || a.Paddr >= p.Paddr+p.Memsz {
					continue
				}
				x, y := make([]byte, a.Filesz), make([]byte, a.Filesz)
				if _, err := a.ReadAt(x, 0); err != nil {
					t.Fatal(err)
				}
				if _, err := p.ReadAt(y, int64(a.Paddr-p.Paddr)); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(x, y) {
					t.Error("kernel image differs between its two PT_LOADs")
				}
			}
			var note [16]byte
			if _, err := f.Progs[0].ReadAt(note[:], 0); err != nil || !strings.HasPrefix(string(note[12:]), "CORE") {
				t.Errorf("first note %q, %v", note, err)
			}
			for _, p := range f.Progs[2:] { // same offset in the page in file and memory
				if p.Off%PageSize != p.Paddr%PageSize {
					t.Errorf("PT_LOAD at %#x has file offset %#x", p.Paddr, p.Off)
				}
			}
			seen := map[uint64]bool{}
			for _, r := range m.Runs {
				for pfn := r.PFN; pfn < r.PFN+r.Pages(); pfn++ {
					if seen[pfn] || !m.IsRAM(pfn*PageSize, PageSize) {
						t.Fatalf("run %+v: pfn %#x is taken twice or not RAM", r, pfn)
					}
					seen[pfn] = true
				}
			}
			// the tables map the variables where Symbols says
			slot, size := m.Entry(m.Symbols["init_uts_ns"])
			pa := m.Get64(slot)&^m.Opt.SMEMask&0x000fffffffffffff&^(size-1) + m.Symbols["init_uts_ns"]%size
			got := make([]byte, 5)
			if err := m.ReadPhys(got, pa); err != nil || string(got) != "Linux" {
				t.Errorf("init_uts_ns at %#x holds %q, %v", pa, got, err)
			}
			if opt.Model != FlatMem {
				if v := m.Get64(m.SectionSlot(0)); v&1 == 0 {
					t.Errorf("section 0 is not present: %#x", v)
				}
			}
		})
	}
}
