package codec

import (
	"bytes"
	"compress/zlib"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
)

// inflate is what another decoder than ours, which also checks the sum, makes of a
// stream.
func inflate(src []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// TestZlibOddPages has pages with all kinds of matches and counts in any order: what
// one page leaves behind must not show in the next.
func TestZlibOddPages(t *testing.T) {
	for size := MinPageSize; size <= MaxPageSize; size *= 2 {
		e := newZlibEncoder(size)
		buf := make([]byte, MaxEncoded(size))
		pages := oddPages(size)
		for name, p := range samples(size) {
			pages[name] = p
		}
		for range 2 {
			for name, p := range pages {
				out, ok := e.Encode(buf, p)
				if !ok {
					if name != "skewed 256" && name != "random" {
						t.Errorf("%d, %s: did not shrink", size, name)
					}
					continue
				}
				if got, err := inflate(out); err != nil || !bytes.Equal(got, p) {
					t.Fatalf("%d, %s: %v", size, name, err)
				}
			}
		}
	}
}

// TestDeflateSymbols holds the tables of lengths and distances, which are computed,
// to the form of RFC 1951 section 3.2.5: symbols rise, each at a length or distance
// after the last one of the symbol before, and the bits behind it tell how far.
func TestDeflateSymbols(t *testing.T) {
	last, base := 0, 0
	for i, e := range lenSymbols {
		if int(e.symbol) != last {
			last, base = int(e.symbol), i
		}
		if n := lenBits[last-deflateLen]; n != e.bits || int(e.more) != i-base || int(e.more) >= 1<<n {
			t.Errorf("length %d: symbol %d, %d more in %d bits", i+3, e.symbol, e.more, e.bits)
		}
	}
	if last != 285 || base != 255 {
		t.Errorf("the last symbol is %d, from length %d on", last, base+3)
	}
	last, base = 0, 0
	for d := range deflateFar {
		symbol, n := distSymbol(uint32(d))
		s := int(symbol)
		if s != last {
			if s != last+1 {
				t.Fatalf("distance %d: symbol %d after %d", d+1, s, last)
			}
			last, base = s, d
		}
		if n != uint(distBits[s]) || d-base >= 1<<n || base&(1<<n-1) != 0 {
			t.Fatalf("distance %d: symbol %d from %d on with %d bits", d+1, s, base+1, n)
		}
	}
	if last != 29 {
		t.Errorf("the last symbol is %d", last)
	}
}

func TestAdler(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for n := 128; n <= MaxPageSize; n *= 2 {
		p := make([]byte, n)
		for _, top := range []int{1, 2, 256} {
			for i := range p {
				p[i] = byte(255 - rnd.IntN(top))
			}
			if got, want := adler(p), adler32.Checksum(p); got != want {
				t.Errorf("%d bytes from %d on: %#x, want %#x", n, 256-top, got, want)
			}
		}
	}
}

// TestPrefixCode wants whole codes, none too long, in which rarer symbols are not
// shorter; and without a limit that counts, the length that a plain Huffman tree has.
func TestPrefixCode(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	var p prefixCode
	for range 5000 {
		counts := make([]uint32, 2+rnd.IntN(maxPrefixSymbols-1))
		most, used := 7+rnd.IntN(9), 0
		if len(counts) > 1<<most {
			counts = counts[:1<<most]
		}
		spread := rnd.IntN(16)
		for i := range counts {
			if rnd.IntN(3) > 0 {
				counts[i] = min(uint32(rnd.ExpFloat64()*float64(int(1)<<spread)), 1<<16/maxPrefixSymbols)
			}
			if counts[i] > 0 {
				used++
			}
		}
		lens := make([]uint8, len(counts))
		n, per := p.lengths(lens, counts, most)
		sum, size, seen := 0, 0, [maxPrefixBits + 1]int{}
		for s, l := range lens {
			if (l == 0) != (counts[s] == 0) || int(l) > most {
				t.Fatalf("%v: %v", counts, lens)
			}
			if l > 0 {
				sum += 1 << (most - int(l))
				seen[l]++
				size += int(counts[s]) * int(l)
			}
		}
		if n != used || seen != per || used > 1 && sum != 1<<most || used == 1 && per[1] != 1 {
			t.Fatalf("%v: %v: %d used, %v of each length", counts, lens, n, per)
		}
		if best, deep := huffmanSize(counts); used > 1 && (size < best || deep <= most && size != best) {
			t.Fatalf("%v: %d bits, the best has %d and codes of %d", counts, size, best, deep)
		}
	}
}

// huffmanSize is the size of the best code in bits, and how long its codes are.
func huffmanSize(counts []uint32) (size, deepest int) {
	type node struct{ count, depth int }
	var nodes []node
	for _, c := range counts {
		if c > 0 {
			nodes = append(nodes, node{int(c), 0})
		}
	}
	for len(nodes) > 1 {
		for i := range 2 { // the two rarest to the front, of equals the flatter
			for k := i + 1; k < len(nodes); k++ {
				if a, b := nodes[k], nodes[i]; a.count < b.count || a.count == b.count && a.depth < b.depth {
					nodes[i], nodes[k] = a, b
				}
			}
		}
		nodes[1] = node{nodes[0].count + nodes[1].count, max(nodes[0].depth, nodes[1].depth) + 1}
		size += nodes[1].count
		nodes = nodes[1:]
	}
	if len(nodes) == 1 {
		deepest = nodes[0].depth
	}
	return size, deepest
}

// TestDeflateChooses wants the cheaper of the two kinds of block, which the first bits
// behind the header name: for a page of zeros the fixed code, for text one of its own.
func TestDeflateChooses(t *testing.T) {
	e := newZlibEncoder(MinPageSize)
	for name, tt := range map[string]struct {
		page []byte
		kind byte
	}{"zero": {make([]byte, MinPageSize), 1}, "text": {samples(MinPageSize)["text"], 2}} {
		out, _ := e.Encode(make([]byte, MaxEncoded(MinPageSize)), tt.page)
		if got := out[2] & 7; got != 1|tt.kind<<1 {
			t.Errorf("%s: last and kind %03b, %d bytes", name, got, len(out))
		}
	}
}
