package codec

import "math/bits"

// Finite state entropy coding, RFC 8878 section 4.1: what the sequences and the
// weights of the Huffman code are coded with.

const (
	maxFSELog     = 9  // of literal and match lengths; others have less
	maxFSESymbols = 64 // match length codes are the most: 53
)

// fseTable encodes one kind of symbol.
type fseTable struct {
	log   uint
	state [1 << maxFSELog]uint16
	sym   [maxFSESymbols]fseSymbol
}

// fseSymbol is how a state changes on a symbol: bits out, and where the next
// state is found.
type fseSymbol struct {
	bits uint32 // (state + bits) >> 16 is the number of bits to write
	next uint32 // added to what is left of the state, and may wrap around
}

// build makes the table of a distribution that adds up to 1<<log; -1 counts as 1
// and is a symbol less probable than that.
func (t *fseTable) build(norm []int16, log uint) {
	t.log = log
	const last = 1<<maxFSELog - 1
	size := uint32(1) << (log & 15)
	var row, cells [last + 1 + 8]uint8 // symbols as often as they count, and spread
	var at [maxFSESymbols]uint16       // where the states of a symbol begin
	total, high, k := uint32(0), size-1, 0
	for s, n := range norm {
		s &= maxFSESymbols - 1
		at[s] = uint16(total)
		rare := uint32(uint16(n) >> 15)
		cells[high&last] = uint8(s) // stays there if it is one of the rare, which are last
		high -= rare
		count := uint32(n) + 2*rare
		for i := 0; i < int(n); i += 8 {
			putUint64(row[(k+i)&last:], uint64(s)*0x0101010101010101)
		}
		k += max(int(n), 0)
		// A state takes log bits down to one of count, or one bit less.
		out := uint32(log) + 1 - uint32(max(bits.Len32(count-1), 1))
		t.sym[s] = fseSymbol{bits: out<<16 - count<<(out&31), next: total - count}
		total += count
	}
	pos, step := uint32(0), size>>1+size>>3+3
	for k = 0; k < int(high)+1; pos = (pos + step) & (size - 1) {
		in := int((uint64(pos) - uint64(high) - 1) >> 63)
		i := pos
		if in == 0 {
			i = last + 1 // nowhere
		}
		cells[i] = row[k&last]
		k += in
	}
	for u, s := range cells[:size] {
		s &= maxFSESymbols - 1
		t.state[at[s]&last] = uint16(size) + uint16(u)
		at[s]++
	}
}

// single makes the table of one symbol that alone occurs: it takes no bits.
func (t *fseTable) single(s uint8) {
	t.log = 0
	t.state[0], t.state[1] = 0, 0
	t.sym[s] = fseSymbol{}
}

// start is the state that encodes s first, at no cost.
func (t *fseTable) start(s uint8) uint32 {
	x := t.sym[s%maxFSESymbols]
	n := (x.bits + 1<<15) >> 16
	v := n<<16 - x.bits
	return uint32(t.state[(v>>n+x.next)%uint32(len(t.state))])
}

// fseLog is how fine a distribution of n symbols is worth being.
func fseLog(n, symbols int, most uint) uint {
	log := min(uint(max(bits.Len(uint(n-1))-3, 1)), most)
	least := min(uint(bits.Len(uint(n))), uint(bits.Len(uint(symbols))+1))
	return min(max(log, least, 5), most)
}

// normalize scales counts, which add up to total and of which at least two are
// not 0, to add up to 1<<log.
func normalize(norm []int16, counts []uint32, total uint32, log uint) {
	size := uint32(1) << log
	left, largest := int32(size), 0
	for s, c := range counts {
		switch n := (c*size + total/2) / total; {
		case c == 0:
			norm[s] = 0
		case n <= 1:
			norm[s] = 1
			if c*size <= total {
				norm[s] = -1
			}
			left--
		default:
			norm[s] = int16(n)
			left -= int32(n)
			if norm[s] > norm[largest] {
				largest = s
			}
		}
	}
	if left > 0 || -left < int32(norm[largest])/4 {
		if norm[largest] < 0 { // all of them are rare
			norm[largest] = 1
		}
		norm[largest] += int16(left)
		return
	}
	for ; left < 0; left++ { // rare symbols took too much: the frequent ones give
		most := 0
		for s, n := range norm {
			if n > norm[most] {
				most = s
			}
		}
		norm[most]--
	}
}

// writeNorm writes the description of a distribution.
func writeNorm(w *bitBuffer, norm []int16, log uint) []byte {
	w.reset()
	w.add(uint64(log-5), 4)
	left, threshold, width := int32(1)<<log+1, int32(1)<<log, log+1
	for s := 0; left > 1; {
		n := int32(norm[s])
		s++
		most := 2*threshold - 1 - left
		left -= max(n, -n)
		n++
		v := n
		if v >= threshold {
			v += most
		}
		if v < most {
			w.add(uint64(v), width-1)
		} else {
			w.add(uint64(v), width)
		}
		w.flush()
		for left < threshold {
			width--
			threshold >>= 1
		}
		if n != 1 || left <= 1 {
			continue
		}
		from := s // a 0 is followed by how many more there are
		for norm[s] == 0 {
			s++
		}
		for ; s-from >= 3; from += 3 {
			w.add(3, 2)
			w.flush()
		}
		w.add(uint64(s-from), 2)
		w.flush()
	}
	return w.end()
}

// log2 has 256 times the binary logarithm of 1 to 512, rounded.
var log2 = func() (t [1<<maxFSELog + 1]uint32) {
	for i := uint32(1); i < uint32(len(t)); i++ {
		// Squaring shifts the next bit of the logarithm into sight.
		n := uint32(bits.Len32(i) - 1)
		t[i] = n
		x := uint64(i) << (31 - n)
		for range 8 {
			x = x * x >> 31
			t[i] <<= 1
			if x >= 1<<32 {
				x >>= 1
				t[i]++
			}
		}
	}
	return t
}()

// cost is what a distribution takes for counts, in 1/256 bits. A symbol that it
// cannot encode makes it infinite.
func cost(norm []int16, counts []uint32, log uint) uint32 {
	sum := uint32(0)
	for s, c := range counts {
		if c == 0 {
			continue
		}
		if s >= len(norm) || norm[s] == 0 {
			return 1 << 31
		}
		sum += c * (uint32(log)<<8 - log2[max(norm[s], -norm[s])])
	}
	return sum
}
