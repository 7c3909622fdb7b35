package codec

import "unsafe"

// write writes the symbols of a block, and its end, into w.
//
// Codes are or-ed at the end of acc, which has n bits, and whole bytes of it go to
// the buffer. After that at most 7 bits are left, so that 56 more fit: four literals,
// or three and a length, or a distance.
func (z *deflater) write() {
	w, m := &z.w, &z.m
	lit, dist := &z.lit, &z.dist
	op, acc, n := w.op, w.acc, w.n
	at := uint(0) // the next literal
	for i := range uint(m.nseqs) {
		s := &m.seqs[i%uint(len(m.seqs))]
		run := uint(s.lits)
		if run >= 4 {
			w.op, w.acc, w.n = op, acc, n
			z.literals(at, run&^3)
			op, acc, n = w.op, w.acc, w.n
			at += run &^ 3
			run &= 3
		}
		// How many are left, nobody can foretell: without a branch, those that are
		// not there become a symbol without code.
		a := uint(m.lits[at&0xffff]) | uint(int(run-1)>>63)&deflateNone
		b := uint(m.lits[(at+1)&0xffff]) | uint(int(run-2)>>63)&deflateNone
		c := uint(m.lits[(at+2)&0xffff]) | uint(int(run-3)>>63)&deflateNone
		at += run
		acc |= uint64(lit.codes[a&deflateNone]) << (n & 63)
		n += uint(lit.lens[a&deflateNone])
		acc |= uint64(lit.codes[b&deflateNone]) << (n & 63)
		n += uint(lit.lens[b&deflateNone])
		acc |= uint64(lit.codes[c&deflateNone]) << (n & 63)
		n += uint(lit.lens[c&deflateNone])
		for l := int(s.match); ; {
			part := deflatePart(l)
			e := &lenSymbols[(part-3)&255]
			word := uint64(lit.codes[e.symbol&deflateNone]) | uint64(e.more)<<(lit.lens[e.symbol&deflateNone]&63)
			acc |= word << (n & 63)
			n += uint(lit.lens[e.symbol&deflateNone]) + uint(e.bits)
			w.put(op, acc)
			op += n >> 3
			acc >>= n &^ 7 & 63
			n &= 7
			d := uint32(s.dist) - 1
			ds, dn := distSymbol(d)
			word = uint64(dist.codes[ds&31]) | uint64(d&(1<<(dn&31)-1))<<(dist.lens[ds&31]&63)
			acc |= word << (n & 63)
			n += uint(dist.lens[ds&31]) + dn
			w.put(op, acc)
			op += n >> 3
			acc >>= n &^ 7 & 63
			n &= 7
			if l -= part; l == 0 {
				break
			}
		}
	}
	w.op, w.acc, w.n = op, acc, n
	left := uint(m.nlits) - at
	z.literals(at, left&^3)
	for i := left &^ 3; i < left; i++ {
		b := m.lits[(at+i)&0xffff]
		w.add(uint64(lit.codes[b]), uint(lit.lens[b]))
	}
	w.flush()
	w.add(uint64(lit.codes[deflateEnd]), uint(lit.lens[deflateEnd]))
}

// literals writes n literals from at on, a multiple of 4.
func (z *deflater) literals(at, n uint) {
	w, lits, lit := &z.w, &z.m.lits, &z.lit
	op, acc, nb := w.op, w.acc, w.n
	for end := at + n; at < end; at += 4 {
		v := *(*uint32)(unsafe.Pointer(&lits[at&0xffff]))
		acc |= uint64(lit.codes[v&255]) << (nb & 63)
		nb += uint(lit.lens[v&255])
		acc |= uint64(lit.codes[v>>8&255]) << (nb & 63)
		nb += uint(lit.lens[v>>8&255])
		acc |= uint64(lit.codes[v>>16&255]) << (nb & 63)
		nb += uint(lit.lens[v>>16&255])
		acc |= uint64(lit.codes[v>>24]) << (nb & 63)
		nb += uint(lit.lens[v>>24])
		w.put(op, acc)
		op += nb >> 3
		acc >>= nb &^ 7 & 63
		nb &= 7
	}
	w.op, w.acc, w.n = op, acc, nb
}
