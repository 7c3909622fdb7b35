package codec

import (
	"math/bits"
	"unsafe"
)

// window is the page that is being compressed. It is a copy in an array whose size
// does not depend on the page: a position in a page fits 16 bits, so that loads of
// up to 16 bytes from there, of what is before or behind the page too, stay within the
// array without being checked. All machines that we know have the low byte first, and
// load from any address.
type window struct {
	src [windowPad + MaxPageSize + windowPad]byte
}

const windowPad = 16 // bytes before and behind a page

// fill takes a page.
func (w *window) fill(page []byte) { copy(w.src[windowPad:windowPad+MaxPageSize], page) }

// load is the 8 bytes of the page from position i on, low ones first.
func (w *window) load(i int) uint64 {
	return *(*uint64)(unsafe.Pointer(&w.src[windowPad+i&0xffff]))
}

// before is the 8 bytes of the page before position i.
func (w *window) before(i int) uint64 {
	return *(*uint64)(unsafe.Pointer(&w.src[windowPad-8+i&0xffff]))
}

// wide is the 16 bytes of the page from position i on.
func (w *window) wide(i int) *[16]byte {
	return (*[16]byte)(unsafe.Pointer(&w.src[windowPad+i&0xffff]))
}

// longer is the number of bytes, up to the end of a page of n, that are equal from a
// and from b on, where a < b and the first 8 are.
func (w *window) longer(a, b, n int) int {
	for l := 8; b+l < n; l += 8 {
		if x := w.load(a+l) ^ w.load(b+l); x != 0 {
			return min(l+bits.TrailingZeros64(x)>>3, n-b)
		}
	}
	return n - b
}
