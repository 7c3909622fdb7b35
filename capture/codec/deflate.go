package codec

import "math/bits"

// deflater writes a page as one block of deflate (RFC 1951). Like the encoder of
// zstd it is our own since a page is small: one pass over it finds all that there is,
// and then the whole block is known before its first bit is written.
type deflater struct {
	w         bitBuffer
	lit, dist deflateCode
	m         matcher
	prefix    prefixCode
	header    deflateHeader
}

// deflateCode is one of the two codes of a block: counts of its symbols, and for
// each the code, the first bit lowest, and its length.
type deflateCode struct {
	counts [maxPrefixSymbols]uint32
	codes  [deflateNone + 1]uint16
	lens   [deflateNone + 1]uint8
}

const (
	deflateLits  = 286
	deflateDists = 30
	deflateEnd   = 256 // the symbol that ends a block
	deflateLen   = 257 // the first symbol of lengths
	deflateNone  = 511 // no symbol: its code has no bits

	// Codes of up to 12 bits, where 15 are allowed, so that a word takes four.
	deflateMostBits = 12

	deflateFar = 32 << 10 // the window
)

// lenSymbol is a symbol of a length, and what follows it.
type lenSymbol struct {
	symbol     uint16
	more, bits uint8
}

// RFC 1951 section 3.2.5: what follows the symbols of lengths and distances.
var (
	lenSymbols = deflateLengths()
	lenBits    = [29]uint8{8: 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBits   = [30]uint8{4: 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// deflateLengths gives the symbol of each length from 3 on.
func deflateLengths() (t [256]lenSymbol) {
	for i := range 255 {
		sym, n := i, 0
		if i >= 8 {
			n = bits.Len(uint(i)) - 3
			sym = n<<2 + i>>n
		}
		t[i] = lenSymbol{uint16(deflateLen + sym), uint8(i & (1<<n - 1)), uint8(n)}
	}
	t[255] = lenSymbol{symbol: deflateLen + 28} // 258 has a symbol of its own
	return t
}

// distSymbol is the symbol of the distance d+1, and how many bits follow it: the low
// ones of d.
func distSymbol(d uint32) (symbol, n uint) {
	n = uint(max(bits.Len32(d)-2, 0))
	return n<<1 + uint(d)>>(n&31), n
}

// deflate returns page as a block, which is valid until the next call; nil when it
// takes more than most bytes.
func (z *deflater) deflate(page []byte, most int) []byte {
	m := &z.m
	m.find(page)
	z.count()
	if m.nseqs == 0 && int(maxOf(z.lit.counts[:deflateEnd])) <= len(page)>>7+4 {
		return nil // nearly even: there is nothing to win
	}
	const last, kindFixed, kindOwn = 1, 1 << 1, 2 << 1
	kind := uint64(last | kindFixed)
	size := z.size(&fixedLits, &fixedDists)
	if size > deflateFewBits {
		if own := z.build(); own < size {
			kind, size = last|kindOwn, own
		}
	}
	if size/8 >= most {
		return nil
	}
	w := &z.w
	w.reset()
	w.add(kind, 3)
	if kind == last|kindOwn {
		z.header.write(w)
	} else {
		z.lit.codes, z.lit.lens = fixedLits.codes, fixedLits.lens
		z.dist.codes, z.dist.lens = fixedDists.codes, fixedDists.lens
	}
	w.flush()
	z.write()
	return w.end()
}

// count counts the symbols of what the matcher found.
func (z *deflater) count() {
	m := &z.m
	lit, dist := &z.lit.counts, &z.dist.counts
	countBytes((*[256]uint32)(lit[:256]), m.lits[:m.nlits])
	clear(lit[deflateEnd:])
	clear(dist[:])
	lit[deflateEnd] = 1
	for i := range uint(m.nseqs) {
		s := &m.seqs[i%uint(len(m.seqs))]
		ds, _ := distSymbol(uint32(s.dist) - 1)
		for l := int(s.match); ; {
			part := deflatePart(l)
			lit[lenSymbols[(part-3)&255].symbol%maxPrefixSymbols]++
			dist[ds&31]++
			if l -= part; l == 0 {
				break
			}
		}
	}
}

// deflatePart is how much of a match of l bytes goes into one symbol: the rest is
// no shorter than a match may be.
func deflatePart(l int) int {
	if l <= 258 {
		return l
	}
	return min(258, l-3)
}

// size is the length of the block in bits in a pair of codes.
func (z *deflater) size(lit, dist *deflateCode) int {
	n := uint32(3)
	for s, c := range z.lit.counts[:deflateLits] {
		n += c * uint32(lit.lens[s])
	}
	for s, c := range z.lit.counts[deflateLen:deflateLits] {
		n += c * uint32(lenBits[s])
	}
	for s, c := range z.dist.counts[:deflateDists] {
		n += c * uint32(dist.lens[s]+distBits[s])
	}
	return int(n)
}

func maxOf(counts []uint32) uint32 {
	most := uint32(0)
	for _, c := range counts {
		most = max(most, c)
	}
	return most
}
