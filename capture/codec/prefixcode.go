package codec

// prefixCode finds the lengths of a Huffman code: for the literals of zstd, and
// for all that deflate has.
type prefixCode struct {
	keys, sorted [maxPrefixSymbols + 1]uint32 // count and symbol
	inner        [maxPrefixSymbols + 1]uint32 // counts of inner nodes, as they come
	parent       [maxPrefixSymbols + 1]uint16 // of inner nodes
	depth        [maxPrefixSymbols + 1]uint8
}

const (
	maxPrefixSymbols = 288 // deflate's literals and lengths
	maxPrefixBits    = 15
	prefixSymbolBits = 9
	prefixSymbol     = 1<<prefixSymbolBits - 1
	prefixNone       = 1 << 31 // more than any count
)

// lengths sets the code length of each symbol, at most `most` bits, and 0 for
// those that do not occur. A symbol that alone occurs gets one bit. It returns
// how many symbols occur, and how many have each length. Counts are at most 1<<16.
func (p *prefixCode) lengths(lens []uint8, counts []uint32, most int) (used int, per [maxPrefixBits + 1]int) {
	n := 0
	for s, c := range counts {
		p.keys[n] = c<<prefixSymbolBits | uint32(s)
		n += int(-c >> 31) // counts are small: 1 for those that are not 0
		lens[s] = 0
	}
	if n < 2 {
		if n == 1 {
			lens[p.keys[0]&prefixSymbol] = 1
			per[1] = 1
		}
		return n, per
	}
	p.sort(n)
	p.tree(n)
	p.depths(n, most, &per)
	// The rarest symbols get the longest codes.
	i := 0
	for d := most; d > 0; d-- {
		for range per[d] {
			lens[p.sorted[i]&prefixSymbol] = uint8(d)
			i++
		}
	}
	return n, per
}

// sort puts n keys into order, the rare ones first.
func (p *prefixCode) sort(n int) {
	// Most counts are small and have a bucket each. The last one is for all others.
	const last = 127
	var at [last + 1]uint16
	for _, k := range p.keys[:n] {
		at[min(k>>prefixSymbolBits, last)]++
	}
	sum := uint16(0)
	for b, c := range at {
		at[b] = sum
		sum += c
	}
	from := int(at[last])
	for _, k := range p.keys[:n] {
		b := min(k>>prefixSymbolBits, last)
		p.sorted[at[b]] = k
		at[b]++
	}
	for i := from + 1; i < n; i++ {
		k, j := p.sorted[i], i
		for ; j > from && p.sorted[j-1] > k; j-- {
			p.sorted[j] = p.sorted[j-1]
		}
		p.sorted[j] = k
	}
}

// tree joins the two rarest nodes until one is left. Both leaves and inner nodes
// come in order, so that the rarest is always at the front of its row.
func (p *prefixCode) tree(n int) {
	for i := range n {
		p.inner[i] = prefixNone
	}
	p.sorted[n] = 1<<32 - 1
	leaf, inner := 0, 0
	for next := range n - 1 {
		sum := uint32(0)
		for range 2 {
			a, b := p.sorted[leaf]>>prefixSymbolBits, p.inner[inner]
			if b < a {
				p.parent[inner] = uint16(next)
				inner++
				sum += b
			} else {
				leaf++
				sum += a
			}
		}
		p.inner[next] = sum
	}
}

// depths counts the leaves of each depth and limits it.
func (p *prefixCode) depths(n, most int, per *[maxPrefixBits + 1]int) {
	var inner [64]int // a tree of 1<<16 leaves' counts is not so deep
	root := n - 2
	p.depth[root] = 0
	inner[0] = 1
	for i := root - 1; i >= 0; i-- {
		d := p.depth[p.parent[i]] + 1
		p.depth[i] = d
		inner[d&63]++
	}
	excess := 0 // in units of the longest code
	for d := 1; d < len(inner); d++ {
		leaves := 2*inner[d-1] - inner[d]
		per[min(d, most)] += leaves
		if d >= most && inner[d] == 0 && leaves == 0 {
			break
		}
	}
	for d := 1; d <= most; d++ {
		excess += per[d] << (most - d)
	}
	excess -= 1 << most
	for excess > 0 {
		// The longest code that can grow takes the least.
		d := most - 1
		for per[d] == 0 {
			d--
		}
		per[d]--
		per[d+1]++
		excess -= 1 << (most - d - 1)
	}
	for excess < 0 { // too much was taken: shorten again
		d := most
		for per[d] == 0 || 1<<(most-d) > -excess {
			d--
		}
		per[d]--
		per[d-1]++
		excess += 1 << (most - d)
	}
}
