package codec

// forwardBits reads a stream of bits, the lowest ones of a byte first. Bits behind
// its end are zeros; whether they were taken tells over. The stream is given each
// time, so that this stays in registers.
type forwardBits struct {
	at   int    // the bytes before are in acc, or taken
	acc  uint64 // the next bit is the lowest
	have uint   // bits in acc
}

// fill makes at least 56 bits ready.
func (b *forwardBits) fill(src []byte) {
	if b.at+8 <= len(src) {
		b.acc |= load64(src, b.at) << (b.have & 63)
		b.at += int(63-b.have) >> 3
		b.have |= 56
		return
	}
	b.fillEnd(src)
}

func (b *forwardBits) fillEnd(src []byte) {
	for ; b.have < 56; b.have += 8 {
		if b.at < len(src) {
			b.acc |= uint64(src[b.at]) << b.have
		}
		b.at++ // beyond the end too: over sees it
	}
}

// take takes n bits that fill made ready.
func (b *forwardBits) take(n uint) uint {
	v := b.acc & (1<<(n&63) - 1)
	b.acc >>= n & 63
	b.have -= n
	return uint(v)
}

// next is where the next whole byte is.
func (b *forwardBits) next() int { return b.at - int(b.have>>3) }

// over tells whether more bits were taken than src has.
func (b *forwardBits) over(src []byte) bool { return b.next() > len(src) }
