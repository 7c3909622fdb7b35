package codec

// size is the literals' length in the code, in bits.
func (h *huffman) size() int {
	n := uint32(0)
	for s := 0; s <= h.last; s++ {
		n += h.counts[s] * uint32(h.lengths[s])
	}
	return int(n)
}

// describe appends the description of the code; nil when there is none.
func (h *huffman) describe(dst []byte) []byte {
	var counts [maxHuffBits + 1]uint32
	n := h.last // the last one's weight follows from the others
	for s, l := range h.lengths[:n] {
		w := uint8(0)
		if l != 0 {
			w = uint8(h.log) + 1 - l
		}
		h.weights[s] = w
		counts[w&15]++
	}
	at := len(dst)
	dst = append(dst, 0)
	out := h.pack(dst, &counts, n)
	size := len(out) - at - 1
	if out != nil && size < 128 && (n > 128 || size < (n+1)/2) {
		out[at] = byte(size)
		return out
	}
	if n > 128 {
		return nil
	}
	dst[at] = byte(127 + n)
	h.weights[n] = 0
	for s := 0; s < n; s += 2 {
		dst = append(dst, h.weights[s]<<4|h.weights[s+1])
	}
	return dst
}

// pack appends n weights, FSE coded; nil when they cannot be.
func (h *huffman) pack(dst []byte, counts *[maxHuffBits + 1]uint32, n int) []byte {
	top, kinds := 0, 0
	for w, c := range counts {
		if c > 0 {
			top = w
			kinds++
		}
	}
	if n < 3 || kinds < 2 {
		return nil
	}
	var norm [maxHuffBits + 1]int16
	log := fseLog(n, top+1, 6)
	normalize(norm[:top+1], counts[:top+1], uint32(n), log)
	dst = writeNorm(dst, norm[:top+1], log)
	h.fse.build(norm[:top+1], log)
	// Two states take turns; what is read first is written last.
	w := bitWriter{dst: dst}
	var state [2]uint32
	i := n - 1
	state[i&1] = h.fse.start(h.weights[i])
	state[i&1^1] = h.fse.start(h.weights[i-1])
	for i -= 2; i >= 0; i-- {
		x, st := h.fse.sym[h.weights[i]], state[i&1]
		nb := (st + x.bits) >> 16
		w.add(uint64(st&(1<<(nb&31)-1)), uint(nb))
		if w.n > 48 {
			w.flush()
		}
		state[i&1] = uint32(h.fse.state[int32(st>>(nb&31))+x.next])
	}
	w.flush()
	w.add(uint64(state[1]&(1<<log-1)), log)
	w.add(uint64(state[0]&(1<<log-1)), log)
	w.add(1, 1)
	return w.end()
}

// stream appends literals, the last one first, and an end mark.
func (h *huffman) stream(dst, lits []byte) []byte {
	op := len(dst)
	buf := dst[:cap(dst)]
	var acc uint64
	var n uint
	i := len(lits)
	for ; i >= 4; i -= 4 {
		p := lits[i-4 : i : i]
		for k := 3; k >= 0; k-- {
			s := p[k]
			acc |= uint64(h.codes[s]) << (n & 63)
			n += uint(h.lengths[s])
		}
		putUint64(buf[op:], acc)
		op += int(n >> 3)
		acc >>= n &^ 7 & 63
		n &= 7
	}
	for i--; i >= 0; i-- {
		s := lits[i]
		acc |= uint64(h.codes[s]) << (n & 63)
		n += uint(h.lengths[s])
	}
	acc |= 1 << (n & 63)
	n++
	putUint64(buf[op:], acc)
	return buf[:op+int(n+7)/8]
}
