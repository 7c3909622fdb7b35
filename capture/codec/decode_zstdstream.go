package codec

// huffStream is a stream of literals that is being decoded.
type huffStream struct {
	bits backBits
	src  []byte
	dst  []byte // what is still to be filled
}

// streams fills the dst of all with the symbols of their src, which must be
// exactly as many. They take turns, since what a code is tells where the next one
// begins, and a processor has nothing else to do meanwhile.
func (h *huffDecoder) streams(all []huffStream) bool {
	for i := range all {
		if s := &all[i]; !s.bits.start(s.src) {
			return false
		}
	}
	for more := true; more; {
		for i := range all {
			more = h.five(&all[i]) && more
		}
	}
	for i := range all {
		s := &all[i]
		for h.five(s) {
		}
		if !h.finish(s) {
			return false
		}
	}
	return true
}

// five decodes five symbols, of 55 bits at most; false, and none, when these may
// not be there.
func (h *huffDecoder) five(s *huffStream) bool {
	b := s.bits
	if b.at < 8 || len(s.dst) < 5 {
		return false
	}
	const mask = 1<<maxHuffBits - 1
	down := 64 - h.log
	b.at -= b.used >> 3
	acc, used := load64(s.src, int(b.at)), b.used&7
	out := s.dst[:5]
	c := h.table[acc<<(used&63)>>(down&63)&mask]
	out[0] = byte(c)
	used += uint(c >> 8)
	c = h.table[acc<<(used&63)>>(down&63)&mask]
	out[1] = byte(c)
	used += uint(c >> 8)
	c = h.table[acc<<(used&63)>>(down&63)&mask]
	out[2] = byte(c)
	used += uint(c >> 8)
	c = h.table[acc<<(used&63)>>(down&63)&mask]
	out[3] = byte(c)
	used += uint(c >> 8)
	c = h.table[acc<<(used&63)>>(down&63)&mask]
	out[4] = byte(c)
	used += uint(c >> 8)
	s.bits = backBits{at: b.at, acc: acc, used: used}
	s.dst = s.dst[5:]
	return true
}

// finish decodes what is left, and is false unless the stream ends with it.
func (h *huffDecoder) finish(s *huffStream) bool {
	b := s.bits
	for i := range s.dst {
		b.fill(s.src)
		// The bits of the last code may be fewer than the longest's: then zeros follow.
		c := h.table[b.acc<<b.used>>((64-h.log)&63)&(1<<maxHuffBits-1)]
		s.dst[i] = byte(c)
		b.used += uint(c >> 8)
		if b.used > 64 {
			return false
		}
	}
	return b.left() == 0
}
