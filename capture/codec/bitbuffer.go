package codec

import "unsafe"

// bitBuffer collects bits, the low ones first. What its user writes is known to fit, or
// its end is looked at in between; what goes beyond a page overwrites the beginning.
type bitBuffer struct {
	buf [MaxPageSize + windowPad]byte
	op  uint   // whole bytes in buf
	acc uint64 // bits behind them
	n   uint   // how many
}

// add takes the low n bits of v, which has no others. There is room for 56 bits
// after a flush.
func (w *bitBuffer) add(v uint64, n uint) {
	w.acc |= v << (w.n & 63)
	w.n += n
}

// flush writes whole bytes, and what is behind them.
func (w *bitBuffer) flush() {
	w.put(w.op, w.acc)
	w.op += w.n >> 3
	w.acc >>= w.n &^ 7 & 63
	w.n &= 7
}

// put writes 8 bytes at op.
func (w *bitBuffer) put(op uint, v uint64) {
	*(*uint64)(unsafe.Pointer(&w.buf[op&0xffff])) = v
}

// reset makes the buffer empty.
func (w *bitBuffer) reset() { w.op, w.acc, w.n = 0, 0, 0 }

// end fills the last byte up with zeros and returns all.
func (w *bitBuffer) end() []byte {
	w.flush()
	if w.n > 0 {
		w.op++
		w.acc, w.n = 0, 0
	}
	return w.buf[:w.op]
}
