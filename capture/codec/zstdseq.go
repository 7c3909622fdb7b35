package codec

import "math/bits"

// The sequences of a zstd block, RFC 8878 section 3.1.1.3.2: each is a run of
// literals and the match behind it.

// zstdSeq is one sequence in codes: of the literals, the match and its offset; and
// the bits that follow them, the literals' lowest.
type zstdSeq struct {
	more             uint64
	lits, match, off uint8
	bits             uint8 // of more
}

// seqCode is the code of a length and the bits that follow it.
type seqCode struct {
	base uint32
	bits uint8
}

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
// description, which it makes in w.
func (k *seqKind) choose(w *bitBuffer, dst []byte, n int) (*fseTable, uint8, []byte) {
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
	told := writeNorm(w, norm, log)
	if cost(norm, counts, log)+uint32(len(told))<<11 >= fixed {
		return k.fixed, modeFixed, dst
	}
	k.table.build(norm, log)
	return &k.table, modeOwn, append(dst, told...)
}
