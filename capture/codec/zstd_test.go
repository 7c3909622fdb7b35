package codec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// oddPages are pages that bring the coder of zstd to its borders: codes that would
// be too long, distributions that do not fit their table, counts of literals where
// the form of their section changes.
func oddPages(size int) map[string][]byte {
	all := map[string][]byte{}
	rnd := rand.New(rand.NewPCG(1, 2))
	// Fibonacci's counts make the longest Huffman codes there are.
	var fib []byte
	for a, b, s := 1, 1, 0; len(fib) < size; a, b, s = b, a+b, s+1 {
		fib = append(fib, bytes.Repeat([]byte{byte(s * 7)}, min(a, size))...)
	}
	fib = fib[len(fib)-size:]
	rnd.Shuffle(size, func(i, j int) { fib[i], fib[j] = fib[j], fib[i] })
	all["fibonacci"] = fib
	for _, kinds := range []int{2, 3, 5, 17, 64, 129, 200, 256} {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(255 - rnd.IntN(kinds)*rnd.IntN(kinds)/kinds)
		}
		all[fmt.Sprintf("skewed %d", kinds)] = p
	}
	// So many random literals of few kinds, and one match.
	for _, n := range []int{1, 31, 32, 39, 40, 63, 64, 255, 256, 1020, 1022, 1023, 1024, 1025, 2000, 4000} {
		p := make([]byte, size)
		for i := range min(n, size) {
			p[i] = byte(rnd.IntN(9) * rnd.IntN(28))
		}
		all[fmt.Sprintf("%d literals", n)] = p
	}
	// Matches of lengths, distances and literals that differ each time.
	for k := range 40 {
		p := make([]byte, 0, size+300)
		for len(p) < size {
			for range rnd.IntN(k + 2) {
				p = append(p, byte(rnd.IntN(2+k*6)))
			}
			if n := len(p); n > 0 {
				from := rnd.IntN(n)
				for range rnd.IntN(4 + k*5) {
					p = append(p, p[from])
					from++
				}
			}
		}
		all[fmt.Sprintf("matches %d", k)] = p[:size]
	}
	return all
}

func TestZstdOddPages(t *testing.T) {
	for size := MinPageSize; size <= MaxPageSize; size *= 2 {
		e := newZstdEncoder(size)
		buf, got, d := make([]byte, MaxEncoded(size)), make([]byte, size), NewDecoder()
		pages := oddPages(size)
		for range 2 { // in another order, with what other pages left in the tables
			for name, p := range pages {
				out, ok := e.Encode(buf, p)
				if !ok {
					if name != "skewed 256" {
						t.Errorf("%d, %s: did not shrink", size, name)
					}
					continue
				}
				if err := d.Decode(got, FlagZstd, out); err != nil || !bytes.Equal(got, p) {
					t.Fatalf("%d, %s: %v", size, name, err)
				}
			}
		}
	}
}

// Any counts must give a distribution that adds up and that leaves no symbol out.
func TestNormalize(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		counts := make([]uint32, 2+rnd.IntN(maxFSESymbols-1))
		total, used := uint32(0), 0
		for i := range counts {
			if rnd.IntN(3) > 0 {
				counts[i] = 1 + uint32(rnd.ExpFloat64()*float64(rnd.IntN(1000)))
				total += counts[i]
				used++
			}
		}
		if used < 2 {
			continue
		}
		log := fseLog(int(total), len(counts)-1, 9)
		norm := make([]int16, len(counts))
		normalize(norm, counts, total, log)
		sum := 0
		for s, n := range norm {
			if (n == 0) != (counts[s] == 0) && !(n > 0 && counts[s] == 0) || n < -1 {
				t.Fatalf("counts %v: %v", counts, norm)
			}
			sum += max(int(n), -int(n))
		}
		if sum != 1<<log {
			t.Fatalf("counts %v: %v adds up to %d, not %d", counts, norm, sum, 1<<log)
		}
	}
}
