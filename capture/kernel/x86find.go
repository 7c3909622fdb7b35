package kernel

import (
	"encoding/binary"
	"fmt"
)

// Bounds on the search for the kernel image: it lies at a multiple of 2 MiB
// (CONFIG_PHYSICAL_ALIGN), and is given up for lost after 2 TiB, or 64 GiB
// without memory.
const (
	imageAlign   = 2 << 20
	imageTries   = 1 << 20
	imageUnread  = 1 << 15
	x86TopIndex  = 511 // of the entry that maps the image
	smeLowestBit = 32  // the encryption bit is an address bit, 47 or 51 so far
)

// findX86 gives the translation by page tables that are proved: the top table's
// own virtual address must lead to it. What VMCOREINFO says comes first, then
// other values of the keys that could be wrong, then a search of memory. With no
// proof at all, VMCOREINFO is taken at its word.
func findX86(info *Info, mem Memory) (*x86, []string, error) {
	said, err := newX86(info)
	if mem == nil || err == nil && said.leadsHome(mem) {
		return said, nil, err
	}
	tops := x86Tops(info)
	base, _ := info.Number("phys_base")
	l5, _ := info.Number("pgtable_l5_enabled")
	sme, _ := info.Number("sme_mask")
	for _, top := range tops {
		for _, five := range []bool{l5 != 0, l5 == 0} {
			for _, mask := range smeMasks(uint64(sme)) {
				if a, err := makeX86(info, top, base, five, mask); err == nil && a.leadsHome(mem) {
					return a, []string{a.mended(info)}, nil
				}
			}
		}
	}
	for _, top := range tops {
		if a := searchX86(info, top, uint64(sme), mem); a != nil {
			return a, []string{a.mended(info)}, nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return said, []string{fmt.Sprintf("the kernel's page tables at physical %#x do not lead to themselves, and are found nowhere else", said.root)}, nil
}

func smeMasks(said uint64) []uint64 {
	masks := []uint64{said, 0}
	for bit := 51; bit >= smeLowestBit; bit-- {
		masks = append(masks, 1<<bit)
	}
	return masks
}

// leadsHome tells that the tables map the top table's virtual address to it.
func (a *x86) leadsHome(mem Memory) bool {
	if a.root%cachePiece != 0 {
		return false
	}
	s := &Space{arch: a, root: a.root, levels: a.lv, mem: mem}
	pa, _, err := s.Translate(a.top)
	return err == nil && pa == a.root
}

// searchX86 looks for the top table at every place that the image can have. Two
// places, such as a kernel left by an earlier kexec makes, are none.
func searchX86(info *Info, top, sme uint64, mem Memory) (found *x86) {
	if top < x86StartKernelMap || top%cachePiece != 0 {
		return nil
	}
	offset := top - x86StartKernelMap
	unread := 0
	for try := range uint64(imageTries) {
		root := offset%imageAlign + try*imageAlign
		var b [8]byte
		if mem.ReadPhys(b[:], root+x86TopIndex*8) != nil {
			if unread++; unread > imageUnread {
				break
			}
			continue
		}
		unread = 0
		if e := binary.LittleEndian.Uint64(b[:]); e&x86Present == 0 || e&x86PSE != 0 {
			continue
		}
		for _, five := range []bool{false, true} {
			for _, mask := range smeMasks(sme) {
				a, err := makeX86(info, top, int64(root-offset), five, mask)
				if err != nil || !a.leadsHome(mem) {
					continue
				}
				if found != nil && found.root != a.root {
					return nil
				}
				if found == nil {
					found = a
				}
			}
		}
	}
	return found
}

// mended says what was found in place of what VMCOREINFO says.
func (a *x86) mended(info *Info) string {
	say := func(kind, name string) string {
		if v, ok := info.Text(kind + "(" + name + ")"); ok {
			return fmt.Sprintf("%.40s", v)
		}
		return "missing"
	}
	return fmt.Sprintf("VMCOREINFO has phys_base %s, init_top_pgt %s, pgtable_l5_enabled %s, sme_mask %s, by which no page tables are found; they are at physical %#x, phys_base %d, of %d levels, encryption mask %#x",
		say("NUMBER", "phys_base"), say("SYMBOL", "init_top_pgt"), say("NUMBER", "pgtable_l5_enabled"), say("NUMBER", "sme_mask"),
		a.root, int64(x86StartKernelMap-a.delta), len(a.lv), x86Address&^a.mask)
}
