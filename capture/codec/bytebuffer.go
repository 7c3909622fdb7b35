package codec

import (
	"encoding/binary"
	"unsafe"
)

// byteBuffer takes a stream of bytes that may grow to somewhat more than a page until
// that is seen. Positions are masked, so that wide stores stay within the array
// without being checked.
type byteBuffer [byteMask + 1 + 16]byte

const byteMask = 2*MaxPageSize - 1

func (b *byteBuffer) put16(at, v int) {
	binary.LittleEndian.PutUint16((*[2]byte)(unsafe.Pointer(&b[at&byteMask]))[:], uint16(v))
}

func (b *byteBuffer) put32(at int, v uint32) {
	binary.LittleEndian.PutUint32((*[4]byte)(unsafe.Pointer(&b[at&byteMask]))[:], v)
}

func (b *byteBuffer) put128(at int, v *[16]byte) {
	*(*[16]byte)(unsafe.Pointer(&b[at&byteMask])) = *v
}
