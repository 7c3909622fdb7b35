package codec

import "math/bits"

// The sequences of a zstd block, RFC 8878 section 3.1.1.3.2: each is a run of
// literals and the match behind it.

// zstdSeq is one sequence: off is 1 to 3 for a recent distance, else distance+3.
type zstdSeq struct {
	lits, match uint16 // bytes; match less than its minimum of 3
	off         uint32
}

// seqCode is the code of a length and the bits that follow it.
type seqCode struct {
	base uint32
	bits uint8
}

func (c seqCode) of(v uint32) uint64 { return uint64(v - c.base) }

var (
	litCodes   = seqCodes(16, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	matchCodes = seqCodes(32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)

	litDefault = [...]int16{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
		-1, -1, -1, -1}
	matchDefault = [...]int16{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1}
	offDefault = [...]int16{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}
)

// seqCodes is direct codes without bits, and then one for each of more.
func seqCodes(direct int, more ...uint8) (t [maxFSESymbols]seqCode) {
	next := uint32(0)
	for i := range t {
		t[i].base = next
		if i >= direct && i-direct < len(more) {
			t[i].bits = more[i-direct]
		}
		next += 1 << t[i].bits
	}
	return t
}

// The codes of small lengths; those of others follow from their logarithm.
var litSmall, matchSmall = smallCodes[[64]uint8](&litCodes), smallCodes[[128]uint8](&matchCodes)

func smallCodes[T [64]uint8 | [128]uint8](codes *[maxFSESymbols]seqCode) (t T) {
	for c := len(codes) - 1; c >= 0; c-- {
		for v := int(codes[c].base) + 1<<codes[c].bits - 1; v >= int(codes[c].base); v-- {
			if v < len(t) {
				switch p := any(&t).(type) {
				case *[64]uint8:
					p[v] = uint8(c)
				case *[128]uint8:
					p[v] = uint8(c)
				}
			}
		}
	}
	return t
}

func litCode(n uint16) uint8 {
	if n < 64 {
		return litSmall[n]
	}
	return uint8(bits.Len16(n)) + 18
}

func matchCode(n uint16) uint8 {
	if n < 128 {
		return matchSmall[n]
	}
	return uint8(bits.Len16(n)) + 35
}

// seqKind is one of the three codes of the sequences.
type seqKind struct {
	table    fseTable
	fixed    *fseTable // the predefined one
	defaults []int16
	defLog   uint
	most     uint // the finest table allowed
	counts   [maxFSESymbols]uint32
	norm     [maxFSESymbols]int16
}

func newSeqKind(defaults []int16, log, most uint) seqKind {
	k := seqKind{defaults: defaults, defLog: log, most: most, fixed: new(fseTable)}
	k.fixed.build(defaults, log)
	return k
}

// The ways to tell a table.
const (
	modeFixed  = 0
	modeSingle = 1
	modeOwn    = 2
)

// choose picks the cheapest table for the counts of n symbols, and appends its
// description.
func (k *seqKind) choose(dst []byte, n int) (*fseTable, uint8, []byte) {
	top, used := 0, 0
	for s, c := range k.counts {
		if c > 0 {
			top = s
			used++
		}
	}
	counts := k.counts[:top+1]
	fixed := cost(k.defaults, counts, k.defLog)
	if used == 1 && (n > 2 || fixed == 1<<31) {
		k.table.single(uint8(top))
		return &k.table, modeSingle, append(dst, byte(top))
	}
	if n < 8 && fixed < 1<<31 {
		return k.fixed, modeFixed, dst
	}
	log := fseLog(n, top, k.most)
	norm := k.norm[:top+1]
	normalize(norm, counts, uint32(n), log)
	with := writeNorm(dst, norm, log)
	if cost(norm, counts, log)+uint32(len(with)-len(dst))<<11 >= fixed {
		return k.fixed, modeFixed, dst
	}
	k.table.build(norm, log)
	return &k.table, modeOwn, with
}

// sequences are the codes of one block's sequences.
type sequences struct {
	lit, match, off seqKind
	codes           []uint32 // of literals, match and offset: a byte each
}

func (q *sequences) init(n int) {
	q.lit = newSeqKind(litDefault[:], 6, 9)
	q.match = newSeqKind(matchDefault[:], 6, 9)
	q.off = newSeqKind(offDefault[:], 5, 8)
	q.codes = make([]uint32, n)
}

// encode appends the section of seqs; nil when dst has too little room.
func (q *sequences) encode(dst []byte, seqs []zstdSeq) []byte {
	n := len(seqs)
	if n < 128 {
		dst = append(dst, byte(n))
	} else {
		dst = append(dst, byte(n>>8+128), byte(n))
	}
	if n == 0 {
		return dst
	}
	clear(q.lit.counts[:])
	clear(q.match.counts[:])
	clear(q.off.counts[:])
	codes := q.codes[:n]
	for i, s := range seqs {
		l, m, o := litCode(s.lits), matchCode(s.match), uint8(bits.Len32(s.off)-1)
		q.lit.counts[l]++
		q.match.counts[m]++
		q.off.counts[o]++
		codes[i] = uint32(l) | uint32(m)<<8 | uint32(o)<<16
	}
	modes := len(dst)
	dst = append(dst, 0)
	lit, lm, dst := q.lit.choose(dst, n)
	off, om, dst := q.off.choose(dst, n)
	match, mm, dst := q.match.choose(dst, n)
	dst[modes] = lm<<6 | om<<4 | mm<<2
	return q.bits(dst, seqs, lit, off, match)
}

// bits appends the sequences themselves, the last one first.
func (q *sequences) bits(dst []byte, seqs []zstdSeq, lit, off, match *fseTable) []byte {
	const room = 24 // for one sequence, and a whole word behind it
	op, buf := len(dst), dst[:cap(dst)]
	var acc uint64
	var nb uint
	var ls, os, ms uint32
	step := func(t *fseTable, st uint32, s uint8) uint32 {
		x := t.sym[s]
		n := (st + x.bits) >> 16
		acc |= uint64(st&(1<<(n&31)-1)) << (nb & 63)
		nb += uint(n)
		return uint32(t.state[int32(st>>(n&31))+x.next])
	}
	for i := len(seqs) - 1; i >= 0; i-- {
		if op+room > len(buf) {
			return nil
		}
		s, packed := seqs[i], q.codes[i]
		c := [3]uint8{uint8(packed), uint8(packed >> 8), uint8(packed >> 16)}
		if i == len(seqs)-1 {
			ms, os, ls = match.start(c[1]), off.start(c[2]), lit.start(c[0])
		} else {
			os = step(off, os, c[2])
			ms = step(match, ms, c[1])
			ls = step(lit, ls, c[0])
		}
		// 7 bits are left over at most, and the states have added 26; with
		// lengths and distances of a page's size the rest fits too, in two steps.
		putUint64(buf[op:], acc)
		op += int(nb >> 3)
		acc >>= nb &^ 7 & 63
		nb &= 7
		lc, mc := litCodes[c[0]], matchCodes[c[1]]
		acc |= lc.of(uint32(s.lits)) << (nb & 63)
		nb += uint(lc.bits)
		acc |= mc.of(uint32(s.match)) << (nb & 63)
		nb += uint(mc.bits)
		acc |= uint64(s.off&(1<<c[2]-1)) << (nb & 63)
		nb += uint(c[2])
		putUint64(buf[op:], acc)
		op += int(nb >> 3)
		acc >>= nb &^ 7 & 63
		nb &= 7
	}
	if op+room > len(buf) {
		return nil
	}
	for _, last := range []struct {
		t  *fseTable
		st uint32
	}{{match, ms}, {off, os}, {lit, ls}} {
		acc |= uint64(last.st&(1<<last.t.log-1)) << (nb & 63)
		nb += last.t.log
	}
	acc |= 1 << (nb & 63)
	nb++
	putUint64(buf[op:], acc)
	return buf[:op+int(nb+7)/8]
}
