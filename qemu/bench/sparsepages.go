package main

import "encoding/binary"

// The struct pages that sections have. None is part of a compound page: its address
// would be in it, and differ from section to section.
const (
	templateKernel = iota // all pages are the kernel's own, from when it booted
	templateFree          // all are free, in the largest blocks
	templateVaried        // and more from here on: users', files', slab, free
	templates      = templateVaried + 8
)

// Bits of page.flags, as the VMCOREINFO has them.
const (
	zone       = 0x17ffffc0000000 // and node: of all pages
	lru        = 1 << 4
	slab       = 1 << 9
	reserved   = 1 << 12
	swapbacked = 1 << 19
)

// buddy is PAGE_BUDDY_MAPCOUNT_VALUE, in _mapcount of a free block's first page.
const buddy = 0xffffffff - 128

// template is the struct pages of one section.
func template(n int) []byte {
	var b []byte
	for len(b) < mapSize {
		switch n {
		case templateKernel:
			b = append(b, structPage(zone|reserved, 0, 0, none, 1)...)
		case templateFree:
			b = append(b, free(maxOrder)...)
		default:
			b = append(b, mixture(n-templateVaried)...)
		}
	}
	return b
}

// mixture is 64 pages of all kinds, a little different for each i.
func mixture(i int) (b []byte) {
	const anon, file = directVA + 0x42001, directVA + 0x43000
	for k := range 32 {
		switch {
		case k == i:
			b = append(b, structPage(zone, 0, 0, none, 1)...)
		case k == i+1:
			b = append(b, structPage(zone|slab, directVA+0x44000, 0, none, 1)...)
		case k < 16:
			b = append(b, structPage(zone|lru|swapbacked, anon, 0, 0, 1)...)
		default:
			b = append(b, structPage(zone|lru, file, 0, none, 2)...)
		}
	}
	return append(b, free(5)...)
}

// free is a free block of 2^order pages.
func free(order uint64) []byte {
	b := structPage(zone, 0, order, buddy, 0)
	for range 1<<order - 1 {
		b = append(b, structPage(zone, 0, 0, none, 0)...)
	}
	return b
}

const none = 0xffffffff // _mapcount of a page that no process has mapped

// structPage is one struct page.
func structPage(flags, mapping, private uint64, mapcount, refcount uint32) []byte {
	p := make([]byte, 64)
	le := binary.LittleEndian
	le.PutUint64(p[0:], flags)
	le.PutUint64(p[8:], directVA+0x100) // lru
	le.PutUint64(p[16:], directVA+0x100)
	le.PutUint64(p[24:], mapping)
	le.PutUint64(p[40:], private)
	le.PutUint32(p[48:], mapcount)
	le.PutUint32(p[52:], refcount)
	return p
}
