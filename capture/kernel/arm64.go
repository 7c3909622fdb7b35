package kernel

import (
	"errors"
	"fmt"
	"math/bits"
)

// arm64 is the translation of aarch64 kernels with 4, 16 or 64 KiB pages and
// up to 52-bit addresses (arch/arm64/include/asm/pgtable-hwdef.h).
type arm64 struct {
	root     uint64
	pageBits uint
	va       uint   // virtual address bits
	lpa      bool   // 64 KiB pages: bits 15:12 are address bits 51:48
	lpa2     bool   // 4 and 16 KiB pages: bits 9:8 are address bits 51:50
	delta    uint64 // kimage_voffset
	lv       []level
}

func newARM64(info *Info) (*arm64, error) {
	config, ok := info.Number("VA_BITS")
	if !ok {
		return nil, errors.New("VMCOREINFO has no NUMBER(VA_BITS)")
	}
	actual := config
	if t1sz, ok := info.Number("TCR_EL1_T1SZ"); ok { // 5.9 and later
		actual = 64 - t1sz
	}
	if config < 36 || config > 52 || actual < 36 || actual > config {
		return nil, fmt.Errorf("VA_BITS %d with %d bits in use is not possible", config, actual)
	}
	pgd, ok := info.Symbol("swapper_pg_dir")
	offset, ok2 := info.Number("kimage_voffset")
	if !ok || !ok2 {
		return nil, errors.New("VMCOREINFO has no SYMBOL(swapper_pg_dir) or NUMBER(kimage_voffset)")
	}
	a := &arm64{pageBits: uint(bits.TrailingZeros64(info.PageSize)), va: uint(actual), root: pgd - uint64(offset), delta: uint64(offset)}
	if a.root >= 1<<52 || a.root%64 != 0 {
		return nil, fmt.Errorf("swapper_pg_dir at physical %#x: SYMBOL %#x and kimage_voffset %#x do not fit", a.root, pgd, uint64(offset))
	}
	pa, _ := info.Number("MAX_PHYSMEM_BITS")
	index := uint(actual)
	if a.pageBits == 16 {
		// a kernel built for 52 bits indexes its top table by all of them even
		// when the CPU has 48: addresses are sign-extended
		index = uint(config)
		a.lpa = pa == 52
	} else {
		a.lpa2 = actual == 52
	}
	per := a.pageBits - 3 // index bits of a full table
	for shift := a.pageBits; shift < index; shift += per {
		a.lv = append([]level{{shift, min(per, index-shift)}}, a.lv...)
	}
	return a, nil
}

func (a *arm64) geometry() (uint64, []level) { return a.root, a.lv }
func (a *arm64) kernel(va uint64) bool       { return va >= -(uint64(1) << a.va) }

func (a *arm64) image(va, pa uint64) bool { return va-pa == a.delta }

func (a *arm64) decode(entry uint64, i int) (pa uint64, leaf bool, err error) {
	const valid, table = 1, 2
	if entry&valid == 0 {
		return 0, false, ErrNotMapped
	}
	pa = entry & (1<<48 - 1) &^ (1<<a.pageBits - 1)
	switch {
	case a.lpa:
		pa |= entry >> 12 & 0xf << 48
	case a.lpa2:
		pa = entry&(1<<50-1)&^(1<<a.pageBits-1) | entry>>8&3<<50
	}
	shift := a.lv[i].shift
	last := i == len(a.lv)-1
	switch {
	case last && entry&table == 0:
		return 0, false, errors.New("reserved entry at the last level")
	case last:
		return pa, true, nil
	case entry&table != 0:
		return pa, false, nil
	case shift > 39: // blocks exist up to 512 GiB, with LPA2
		return 0, false, errors.New("block entry at a level that cannot have it")
	}
	return pa &^ (1<<shift - 1), true, nil
}
