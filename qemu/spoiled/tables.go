package spoiled

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The format of x86-64 page tables (arch/x86/include/asm/pgtable_types.h).
const (
	startKernelMap = 0xffffffff80000000
	present        = 1 << 0
	large          = 1 << 7
	addressMask    = 0x000ffffffffff000
)

// slot is one entry of a page table.
type slot struct {
	name         string
	table, index uint64
	value        uint64
}

// path gives the entries that translate va, from the top down.
func (g *ground) path(name string, va uint64) ([]slot, error) {
	top, ok := g.info.Symbol("init_top_pgt")
	base, ok2 := g.info.Number("phys_base")
	if !ok || !ok2 {
		return nil, errors.New("VMCOREINFO has no init_top_pgt or phys_base")
	}
	five, _ := g.info.Number("pgtable_l5_enabled")
	shift := uint(39)
	if five != 0 {
		shift = 48
	}
	var out []slot
	for table := top - startKernelMap + uint64(base); ; shift -= 9 {
		s := slot{name: fmt.Sprintf("page table of %s, entry of %d bits", name, shift), table: table, index: va >> shift & 511}
		var b [8]byte
		if err := g.mem.ReadPhys(b[:], table+s.index*8); err != nil {
			return nil, err
		}
		if s.value = binary.LittleEndian.Uint64(b[:]); s.value&present == 0 {
			return nil, fmt.Errorf("%s at %#x is %#x", s.name, table, s.value)
		}
		out = append(out, s)
		if shift == 12 || s.value&large != 0 && shift < 39 {
			return out, nil
		}
		table = s.value & addressMask
	}
}

// tables points entries of the page tables at nothing: those on the way to the
// kernel's text, to its data, to the direct map and to each section's struct pages.
func (g *ground) tables() error {
	ways := map[string]uint64{"mem_section, in the direct map": g.maps.Tables[0].VA}
	for _, name := range []string{"_stext", "init_top_pgt", "prb", "init_uts_ns"} {
		if va, ok := g.info.Symbol(name); ok {
			ways[name] = va
		}
	}
	for i, sec := range g.maps.Sections {
		ways[fmt.Sprintf("struct pages of section %d", i)] = sec.Map + g.rnd.Uint64N(sec.End-sec.Start)*64
	}
	free := g.somePage()
	seen := map[uint64]bool{}
	for _, name := range sorted(ways) {
		slots, err := g.path(name, ways[name])
		if err != nil {
			continue // a section need not be mapped as a whole
		}
		for _, s := range slots {
			at := s.table + s.index*8
			if seen[at] {
				continue
			}
			seen[at] = true
			other := s.value
			var b [8]byte
			for i := s.index + 1; i < 512 && other == s.value; i++ {
				if g.mem.ReadPhys(b[:], s.table+i*8) == nil && b[0]&present != 0 {
					other = binary.LittleEndian.Uint64(b[:])
				}
			}
			for how, v := range map[string]uint64{
				"cleared": 0, "not present": s.value &^ present, "at nothing": s.value&0xfff | 0x7000000000, "at itself": s.value&0xfff | s.table,
				"at the next one's": other, "at another page": s.value&^addressMask | free&^0x1fffff, "all ones": ^uint64(0),
				"one bit off": s.value ^ 1<<21, "garbage": 0x646d756b6f672020,
			} {
				if v != s.value {
					g.try(s.name+" "+how, at, word(v), true)
				}
			}
		}
	}
	return nil
}

// somePage is the physical address of RAM that a good dump leaves out.
func (g *ground) somePage() uint64 {
	good := g.good[slices.Max(g.opt.Levels)]
	for pfn := good.RAM.Limit() / 2; pfn < good.RAM.Limit(); pfn += 512 {
		if good.RAM.Has(pfn) && !good.Keep.Has(pfn) {
			return pfn * 4096
		}
	}
	return 0x1000000
}

func sorted(m map[string]uint64) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
