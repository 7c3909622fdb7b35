package codec

import "math/bits"

// The Huffman code of zstd's literals, RFC 8878 section 4.2.

const maxHuffBits = 11

// huffman makes and holds the code of one page's literals.
type huffman struct {
	counts  [256]uint32
	lengths [256]uint8
	codes   [256]uint16
	last    int  // the highest symbol that occurs
	used    int  // how many occur
	log     uint // the longest code
	order   [256]uint8
	nodes   [512]huffNode
	weights [256]uint8
	fse     fseTable
}

type huffNode struct {
	count  uint32
	parent uint16
	depth  uint8
}

// count counts the symbols of lits and returns the count of the most frequent one.
func (h *huffman) count(lits []byte) (most uint32) {
	// Equal neighbours would wait for each other's counts in one table.
	var odd [256]uint32
	clear(h.counts[:])
	for len(lits) >= 2 {
		h.counts[lits[0]]++
		odd[lits[1]]++
		lits = lits[2:]
	}
	if len(lits) > 0 {
		h.counts[lits[0]]++
	}
	for s := range h.counts {
		c := h.counts[s] + odd[s]
		h.counts[s] = c
		if c > 0 {
			h.last = s
			most = max(most, c)
		}
	}
	return most
}

// sort puts the symbols that occur into order, the frequent ones first.
func (h *huffman) sort() {
	// Small counts, which most are, have a bucket each; the others share one for
	// each power of two and are put in order there.
	const exact = 128
	bucket := func(c uint32) uint {
		if c < exact {
			return uint(c)
		}
		return exact + uint(bits.Len32(c)) - 8
	}
	var at [exact + 16]uint16
	for s := 0; s <= h.last; s++ {
		at[bucket(h.counts[s])]++
	}
	n := uint16(0)
	for b := len(at) - 1; b > 0; b-- {
		at[b], n = n, n+at[b]
	}
	h.used = int(n)
	start := at
	for s := 0; s <= h.last; s++ {
		c := h.counts[s]
		if c == 0 {
			continue
		}
		b := bucket(c)
		i := at[b]
		at[b]++
		if c >= exact {
			for i > start[b] && h.counts[h.order[i-1]] < c {
				h.order[i] = h.order[i-1]
				i--
			}
		}
		h.order[i] = uint8(s)
	}
}

// build makes the code of counts, of which at least two are not 0.
func (h *huffman) build() {
	h.sort()
	n := h.used
	// Leaves from the rarest on, then the inner nodes as they come: both rows are
	// in order, so that the two rarest nodes are always at the front of a row.
	for i := range n {
		h.nodes[i].count = h.counts[h.order[n-1-i]]
	}
	leaf, inner := 0, n
	for next := n; next < 2*n-1; next++ {
		sum := uint32(0)
		for range 2 {
			i := inner
			if leaf < n && (inner == next || h.nodes[leaf].count <= h.nodes[inner].count) {
				i = leaf
				leaf++
			} else {
				inner++
			}
			sum += h.nodes[i].count
			h.nodes[i].parent = uint16(next)
		}
		h.nodes[next].count = sum
	}
	h.nodes[2*n-2].depth = 0
	var per [64]int // leaves of each depth
	for i := 2*n - 3; i >= 0; i-- {
		d := h.nodes[h.nodes[i].parent].depth + 1
		h.nodes[i].depth = d
		if i < n {
			per[min(d, 63)]++
		}
	}
	h.limit(&per)
	// The rarest symbols get the longest codes.
	i := n - 1
	for d := maxHuffBits; d > 0; d-- {
		for range per[d] {
			h.lengths[h.order[i]] = uint8(d)
			i--
		}
	}
	h.log = maxHuffBits
	for per[h.log] == 0 {
		h.log--
	}
	h.assign(&per)
}

// limit shortens codes that are too long, and lengthens others for it.
func (h *huffman) limit(per *[64]int) {
	excess := 0 // in units of the longest code
	for d := maxHuffBits + 1; d < len(per); d++ {
		per[maxHuffBits] += per[d]
		per[d] = 0
	}
	for d := 1; d <= maxHuffBits; d++ {
		excess += per[d] << (maxHuffBits - d)
	}
	excess -= 1 << maxHuffBits
	for excess > 0 {
		// The longest code that can grow takes the least.
		d := maxHuffBits - 1
		for per[d] == 0 {
			d--
		}
		per[d]--
		per[d+1]++
		excess -= 1 << (maxHuffBits - d - 1)
	}
	for excess < 0 { // too much was taken: shorten again
		d := maxHuffBits
		for per[d] == 0 || 1<<(maxHuffBits-d) > -excess {
			d--
		}
		per[d]--
		per[d-1]++
		excess += 1 << (maxHuffBits - d)
	}
}

// assign gives the symbols their codes, by length and then by symbol.
func (h *huffman) assign(per *[64]int) {
	var next [maxHuffBits + 2]uint16
	code := 0
	for d := int(h.log); d > 0; d-- {
		next[d] = uint16(code)
		code = (code + per[d]) >> 1
	}
	for s := 0; s <= h.last; s++ {
		if h.counts[s] == 0 {
			h.lengths[s] = 0
			continue
		}
		d := h.lengths[s] & 15
		h.codes[s] = next[d]
		next[d]++
	}
}
