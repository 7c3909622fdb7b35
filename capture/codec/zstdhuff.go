package codec

// The Huffman code of zstd's literals, RFC 8878 section 4.2.

const maxHuffBits = 11

// huffman makes and holds the code of one page's literals.
type huffman struct {
	counts  [256]uint32
	lens    [256]uint8
	codes   [256]uint16
	last    int                    // the highest symbol that occurs
	log     uint                   // the longest code
	bits    int                    // the literals' length in the code
	used    int                    // how many symbols occur
	per     [maxPrefixBits + 1]int // how many have codes of each length
	prefix  prefixCode
	weights [256 + 8]uint8
	fse     fseTable
	w       bitBuffer
}

// count counts the symbols of lits and returns the count of the most frequent one.
func (h *huffman) count(lits []byte) (most uint32) {
	return countBytes(&h.counts, lits)
}

// build makes the code of counts, of which at least two are not 0.
func (h *huffman) build() {
	h.used, h.per = h.prefix.lengths(h.lens[:], h.counts[:], maxHuffBits)
	h.log = maxHuffBits
	for h.per[h.log] == 0 {
		h.log--
	}
	// Symbols have their codes by length, the longest first, and then by symbol.
	var next [maxPrefixBits + 1]uint16
	code := 0
	for d := h.log; d > 0; d-- {
		next[d] = uint16(code)
		code = (code + h.per[d]) >> 1
	}
	size := uint32(0)
	for _, k := range h.prefix.keys[:h.used] {
		s, c := k&prefixSymbol&0xff, k>>prefixSymbolBits
		l := h.lens[s]
		size += c * uint32(l)
		h.codes[s] = next[l&15]
		next[l&15]++
	}
	h.bits = int(size)
	h.last = int(h.prefix.keys[h.used-1] & prefixSymbol)
}
