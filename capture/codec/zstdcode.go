package codec

import "math/bits"

// sequences are the codes of one block's sequences.
type sequences struct {
	lit, match, off seqKind
	coded           [MaxPageSize / matchMin]zstdSeq
	w               bitBuffer
}

func (q *sequences) init() {
	q.lit = newSeqKind(litDefault[:], 6, 9)
	q.match = newSeqKind(matchDefault[:], 6, 9)
	q.off = newSeqKind(offDefault[:], 5, 8)
}

// encode appends the section of seqs; nil when it would be longer than `most`.
func (q *sequences) encode(dst []byte, seqs []sequence, most int) []byte {
	n := len(seqs)
	if n < 128 {
		dst = append(dst, byte(n))
	} else {
		dst = append(dst, byte(n>>8+128), byte(n))
	}
	if n == 0 {
		return dst
	}
	q.code(seqs)
	modes := len(dst)
	dst = append(dst, 0)
	lit, lm, dst := q.lit.choose(&q.w, dst, n)
	off, om, dst := q.off.choose(&q.w, dst, n)
	match, mm, dst := q.match.choose(&q.w, dst, n)
	dst[modes] = lm<<6 | om<<4 | mm<<2
	bits := q.write(uint(n), lit, off, match, most)
	if bits == nil {
		return nil
	}
	return append(dst, bits...)
}

// code finds the codes of seqs and counts them.
func (q *sequences) code(seqs []sequence) {
	clear(q.lit.counts[:])
	clear(q.match.counts[:])
	clear(q.off.counts[:])
	// RFC 8878 section 3.1.1.5: offsets 1 to 3 are the last three distances, others
	// are distance+3. Behind no literals the first one cannot be meant, and the
	// others move up.
	r0, r1, r2 := uint32(1), uint32(4), uint32(8)
	for i := range seqs {
		s := &seqs[i]
		// Without branches: nobody can foretell which it is.
		dist, none := uint32(s.dist), allIfZero(uint32(s.lits))
		is0, is1, is2 := allIfZero(dist^r0)&^none, allIfZero(dist^r1), allIfZero(dist^r2)
		off := dist + 3
		off ^= (off ^ (3 + none)) & is2
		off ^= (off ^ (2 + none)) & is1
		off ^= (off ^ 1) & is0
		r2 = r1 ^ (r1^r2)&(is1|is0)
		r1 = r0 ^ (r0^r1)&is0
		r0 = dist

		l, m, o := litCode(s.lits), matchCode(s.match-3), uint8(bits.Len32(off)-1)
		q.lit.counts[l%maxFSESymbols]++
		q.match.counts[m%maxFSESymbols]++
		q.off.counts[o%maxFSESymbols]++
		lc, mc := &litCodes[l%maxFSESymbols], &matchCodes[m%maxFSESymbols]
		more := uint64(off) &^ (1 << (o & 63))
		more = more<<(mc.bits&63) | uint64(uint32(s.match-3)-mc.base)
		more = more<<(lc.bits&63) | uint64(uint32(s.lits)-lc.base)
		// Field by field: a whole one would be put together in memory first, and
		// wait there.
		c := &q.coded[i%len(q.coded)]
		c.more, c.lits, c.match, c.off, c.bits = more, l, m, o, lc.bits+mc.bits+o
	}
}

// write returns the bits of n coded sequences, the last one first; nil when they are
// more than most bytes.
func (q *sequences) write(n uint, lit, off, match *fseTable, most int) []byte {
	w := &q.w
	var op, nb uint
	var acc uint64
	var ls, os, ms uint32
	for i := n - 1; ; i-- {
		s := &q.coded[i%uint(len(q.coded))]
		if i == n-1 {
			ms, os, ls = match.start(s.match), off.start(s.off), lit.start(s.lits)
		} else {
			x := off.sym[s.off%maxFSESymbols]
			k := (os + x.bits) >> 16 & 15
			acc |= uint64(os&(1<<k-1)) << (nb & 63)
			nb += uint(k)
			os = uint32(off.state[(os>>k+x.next)%uint32(len(off.state))])
			x = match.sym[s.match%maxFSESymbols]
			k = (ms + x.bits) >> 16 & 15
			acc |= uint64(ms&(1<<k-1)) << (nb & 63)
			nb += uint(k)
			ms = uint32(match.state[(ms>>k+x.next)%uint32(len(match.state))])
			x = lit.sym[s.lits%maxFSESymbols]
			k = (ls + x.bits) >> 16 & 15
			acc |= uint64(ls&(1<<k-1)) << (nb & 63)
			nb += uint(k)
			ls = uint32(lit.state[(ls>>k+x.next)%uint32(len(lit.state))])
		}
		// 7 bits are left over at most, and the states have added 26. What follows
		// rarely does not fit as well, and has 48 bits at most.
		if s.bits > 30 {
			w.put(op, acc)
			op += nb >> 3
			acc >>= nb &^ 7 & 63
			nb &= 7
		}
		acc |= s.more << (nb & 63)
		nb += uint(s.bits)
		w.put(op, acc)
		op += nb >> 3
		acc >>= nb &^ 7 & 63
		nb &= 7
		if i == 0 || op > uint(most) {
			break
		}
	}
	if op > uint(most) {
		return nil
	}
	w.op, w.acc, w.n = op, acc, nb
	w.add(uint64(ms&(1<<match.log-1)), match.log)
	w.add(uint64(os&(1<<off.log-1)), off.log)
	w.add(uint64(ls&(1<<lit.log-1)), lit.log)
	w.add(1, 1)
	return w.end()
}

// allIfZero has all bits set for 0, else none.
func allIfZero(x uint32) uint32 { return uint32(int64(uint64(x)-1) >> 63) }
