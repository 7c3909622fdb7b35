package codec

import "math/bits"

// backBits reads a stream of bits from its end to its beginning, as Huffman and
// FSE codes of zstd are written. The stream itself is given each time: with it,
// this would be too large to stay in registers.
type backBits struct {
	at   uint   // acc is the stream's 8 bytes from here on, or all of a shorter one
	acc  uint64 // the first bit to take is the highest one that is not used
	used uint   // bits of acc that are taken; more than 64 are too many
}

// start is at the end of src. It is false when src has none: its last byte holds
// the highest bit set above those of the stream.
func (b *backBits) start(src []byte) bool {
	n := len(src)
	if n == 0 || src[n-1] == 0 {
		return false
	}
	b.at, b.acc = 0, 0
	b.used = uint(bits.LeadingZeros8(src[n-1])) + 1
	if n >= 8 {
		b.at = uint(n - 8)
		b.acc = load64(src, n-8)
		return true
	}
	for i, c := range src {
		b.acc |= uint64(c) << (8 * i)
	}
	b.used += uint(64 - 8*n)
	return true
}

// fill makes at least 57 bits of src ready, or all that there are.
func (b *backBits) fill(src []byte) {
	if step := min(b.used>>3, b.at); step > 0 {
		b.at -= step
		b.used -= 8 * step
		b.acc = load64(src, int(b.at))
	}
}

// take takes n bits, at most 63. Those before the beginning of the stream are of
// any value; that there were such is seen by left.
func (b *backBits) take(n uint) uint32 {
	v := b.acc << (b.used & 63) >> 1 >> ((63 - n) & 63)
	b.used += n
	return uint32(v)
}

// left is how many bits there still are; less than 0 when more were taken.
func (b *backBits) left() int { return int(8*b.at) + 64 - int(b.used) }
