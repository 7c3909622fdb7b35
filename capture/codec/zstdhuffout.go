package codec

import "unsafe"

// describe appends the description of the code; nil when there is none.
func (h *huffman) describe(dst []byte) []byte {
	n := h.last // the last one's weight follows from the others
	// A weight is 0 for what does not occur, else how much shorter than the longest
	// the code is, plus 1.
	const low, high = 0x0101010101010101, 0x8080808080808080
	for s := 0; s < n; s += 8 {
		l := load64(h.lens[:], s)
		occurs := (l + (high - low)) & high >> 7 * 0xff
		putUint64(h.weights[s:], (uint64(h.log+1)*low-l)&occurs)
	}
	var counts [maxHuffBits + 1]uint32
	for l := uint(1); l <= h.log; l++ {
		counts[h.log+1-l] = uint32(h.per[l])
	}
	counts[h.log+1-uint(h.lens[n])]--
	counts[0] = uint32(n - h.used + 1)
	packed := h.pack(counts[:], n)
	if size := len(packed); packed != nil && size < 128 && (n > 128 || size < (n+1)/2) {
		return append(append(dst, byte(size)), packed...)
	}
	if n > 128 {
		return nil
	}
	dst = append(dst, byte(127+n))
	h.weights[n] = 0
	for s := 0; s < n; s += 2 {
		dst = append(dst, h.weights[s]<<4|h.weights[s+1])
	}
	return dst
}

// pack returns n weights, FSE coded; nil when they cannot be.
func (h *huffman) pack(counts []uint32, n int) []byte {
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
	w := &h.w
	writeNorm(w, norm[:top+1], log)
	t := &h.fse
	t.build(norm[:top+1], log)
	// Two states take turns; what is read first is written last.
	i := uint(n - 1)
	a, b := t.start(h.weights[i]), t.start(h.weights[i-1])
	op, acc, nb := w.op, w.acc, w.n
	for i -= 2; int(i) >= 0; i-- {
		x := t.sym[h.weights[i&0xff]%maxFSESymbols]
		k := (a + x.bits) >> 16 & 15
		acc |= uint64(a&(1<<k-1)) << (nb & 63)
		nb += uint(k)
		w.put(op, acc)
		op += nb >> 3
		acc >>= nb &^ 7 & 63
		nb &= 7
		a, b = b, uint32(t.state[(a>>k+x.next)%uint32(len(t.state))])
	}
	w.op, w.acc, w.n = op, acc, nb
	// Weight 0 was the last, so that a is the state of odd ones.
	w.flush()
	w.add(uint64(a&(1<<log-1)), log)
	w.add(uint64(b&(1<<log-1)), log)
	w.add(1, 1)
	return w.end()
}

// stream appends literals, the last one first, and an end mark.
func (h *huffman) stream(dst, lits []byte) []byte {
	w := &h.w
	var op, n uint
	var acc uint64
	for ; len(lits) >= 4; lits = lits[:len(lits)-4] {
		v := *(*uint32)(unsafe.Pointer(&lits[len(lits)-4]))
		acc |= uint64(h.codes[v>>24]) << (n & 63)
		n += uint(h.lens[v>>24])
		acc |= uint64(h.codes[v>>16&255]) << (n & 63)
		n += uint(h.lens[v>>16&255])
		acc |= uint64(h.codes[v>>8&255]) << (n & 63)
		n += uint(h.lens[v>>8&255])
		acc |= uint64(h.codes[v&255]) << (n & 63)
		n += uint(h.lens[v&255])
		w.put(op, acc)
		op += n >> 3
		acc >>= n &^ 7 & 63
		n &= 7
	}
	w.op, w.acc, w.n = op, acc, n
	for i := len(lits) - 1; i >= 0; i-- {
		w.add(uint64(h.codes[lits[i]]), uint(h.lens[lits[i]]))
	}
	w.flush()
	w.add(1, 1)
	return append(dst, w.end()...)
}
