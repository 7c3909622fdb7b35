package kernel

import (
	"errors"
	"fmt"
	"slices"
)

// x86-64 page tables (arch/x86/include/asm/pgtable_types.h).
const (
	x86StartKernelMap = 0xffffffff80000000 // __START_KERNEL_map
	x86ImageSize      = 1 << 30            // the most that KERNEL_IMAGE_SIZE is
	x86Present        = 1 << 0
	x86PSE            = 1 << 7             // the entry maps memory, at PUD and PMD
	x86Address        = 0x000ffffffffff000 // bits 12 to 51
)

type x86 struct {
	root    uint64
	mask    uint64 // address bits of an entry
	lowest  uint64 // first address of the kernel's half
	delta   uint64 // of an image address over its physical one
	top     uint64 // virtual address of the top table
	modules uint64 // where the area of modules begins, behind that of the image
	lv      []level
}

// newX86 takes the translation from what VMCOREINFO says.
func newX86(info *Info) (*x86, error) {
	base, ok := info.Number("phys_base")
	tops := x86Tops(info)
	if len(tops) == 0 {
		return nil, errors.New("VMCOREINFO has no SYMBOL(init_top_pgt)")
	}
	if !ok {
		return nil, errors.New("VMCOREINFO has no NUMBER(phys_base)")
	}
	l5, _ := info.Number("pgtable_l5_enabled")
	sme, _ := info.Number("sme_mask")
	return makeX86(info, tops[0], base, l5 != 0, uint64(sme))
}

// x86Tops gives the addresses that the top page table may have, the likeliest
// first.
func x86Tops(info *Info) (tops []uint64) {
	for _, name := range []string{"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"} {
		if top, ok := info.Symbol(name); ok && !slices.Contains(tops, top) {
			tops = append(tops, top)
		}
	}
	return tops
}

func makeX86(info *Info, top uint64, base int64, l5 bool, sme uint64) (*x86, error) {
	if top < x86StartKernelMap {
		return nil, fmt.Errorf("SYMBOL(init_top_pgt) is %#x, not an address of the kernel image", top)
	}
	a := &x86{mask: x86Address &^ sme, lowest: 0xffff800000000000, delta: x86StartKernelMap - uint64(base), top: top}
	a.modules = x86StartKernelMap + x86ImageSize
	if size, ok := info.Number("KERNEL_IMAGE_SIZE"); ok && size > 0 && size < x86ImageSize { // without KASLR
		a.modules = x86StartKernelMap + uint64(size)
	}
	a.lv = []level{{39, 9}, {30, 9}, {21, 9}, {12, 9}}
	if l5 {
		a.lv = append([]level{{48, 9}}, a.lv...)
		a.lowest = 0xff00000000000000
	}
	a.root = top - x86StartKernelMap + uint64(base)
	if a.root&^x86Address != 0 {
		return nil, fmt.Errorf("top page table at physical %#x: SYMBOL(init_top_pgt) %#x and phys_base %#x do not fit", a.root, top, base)
	}
	return a, nil
}

// PhysBase is the phys_base of the kernel, by which its image's addresses become
// physical ones: VMCOREINFO's where the page tables bear it out, or what was found in
// its place. ok is false for an architecture that has none.
func (s *Space) PhysBase() (base int64, ok bool) {
	a, ok := s.arch.(*x86)
	if !ok {
		return 0, false
	}
	return int64(x86StartKernelMap - a.delta), true
}

func (a *x86) geometry() (uint64, []level) { return a.root, a.lv }
func (a *x86) kernel(va uint64) bool       { return va >= a.lowest }

// image: a page of a module may by chance lie where one of the image would.
func (a *x86) image(va, pa uint64) bool {
	return va >= x86StartKernelMap && va < a.modules && va-pa == a.delta
}

func (a *x86) decode(entry uint64, i int) (pa uint64, leaf bool, err error) {
	if entry&x86Present == 0 {
		return 0, false, ErrNotMapped
	}
	shift := a.lv[i].shift
	switch {
	case shift == 12:
		return entry & a.mask, true, nil
	case entry&x86PSE == 0:
		return entry & a.mask, false, nil
	case shift > 30:
		return 0, false, errors.New("page size bit at a level that cannot have it")
	}
	return entry & a.mask &^ (1<<shift - 1), true, nil
}
