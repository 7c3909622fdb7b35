package codec

import "math/bits"

// Blocks with a code of their own, RFC 1951 section 3.2.7, and with the fixed one,
// section 3.2.6.

// deflateFewBits is how long a block in the fixed code may be to be left at that: the
// description of another code alone takes about as much.
const deflateFewBits = 40 * 8

var fixedLits, fixedDists = fixedCodes()

func fixedCodes() (lits, dists deflateCode) {
	for s := range maxPrefixSymbols {
		switch {
		case s < 144:
			lits.lens[s] = 8
		case s < 256:
			lits.lens[s] = 9
		case s < 280:
			lits.lens[s] = 7
		default:
			lits.lens[s] = 8
		}
	}
	for s := range 32 {
		dists.lens[s] = 5
	}
	lits.assign(maxPrefixSymbols, &[maxPrefixBits + 1]int{7: 24, 8: 152, 9: 112})
	dists.assign(32, &[maxPrefixBits + 1]int{5: 32})
	return lits, dists
}

// assign gives codes to n symbols by length and then by symbol, RFC 1951 section
// 3.2.2, the first bit lowest. per is how many have each length.
func (c *deflateCode) assign(n int, per *[maxPrefixBits + 1]int) {
	var next [maxPrefixBits + 1]uint16
	code := 0
	for d := 1; d < len(next); d++ {
		next[d] = uint16(code << (16 - d)) // at the top, to be turned around
		code = (code + per[d]) << 1
	}
	for s, l := range c.lens[:n] {
		c.codes[s&deflateNone] = bits.Reverse16(next[l&15])
		next[l&15] += uint16(uint32(1<<16) >> l)
	}
}

// build makes codes for the counts, and their description. It returns the length of
// the block in them in bits.
func (z *deflater) build() int {
	lit, dist := &z.lit, &z.dist
	_, per := z.prefix.lengths(lit.lens[:deflateLits], lit.counts[:deflateLits], deflateMostBits)
	lit.assign(deflateLits, &per)
	_, per = z.prefix.lengths(dist.lens[:deflateDists], dist.counts[:deflateDists], deflateMostBits)
	dist.assign(deflateDists, &per)
	return z.header.make(&z.prefix, lit, dist) + z.size(lit, dist)
}

// deflateHeader describes the codes of a block: their lengths, in a code of their
// own.
type deflateHeader struct {
	lens        [deflateLits + deflateDists + 8]uint8
	runs        [deflateLits + deflateDists]uint16 // symbol, and from bit 5 on what follows it
	nruns       int
	code        deflateCode
	nlit, ndist int
	nruncodes   int
}

// The symbols of code lengths are the lengths themselves, and runs of them.
const (
	runAgain    = 16 // the last length 3 to 6 times
	runZeros    = 17 // 3 to 10 zeros
	runMore     = 18 // 11 to 138 zeros
	deflateRuns = 19
)

// runBits is how many bits follow a symbol.
var runBits = [deflateRuns]uint8{runAgain: 2, runZeros: 3, runMore: 7}

// runOrder is the order in which the lengths of their code are told.
var runOrder = [deflateRuns]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// make prepares the description of two codes, and returns its length in bits.
func (h *deflateHeader) make(p *prefixCode, lit, dist *deflateCode) int {
	h.nlit, h.ndist = deflateLits, deflateDists
	for lit.lens[h.nlit-1] == 0 {
		h.nlit--
	}
	for h.ndist > 1 && dist.lens[h.ndist-1] == 0 {
		h.ndist--
	}
	n := copy(h.lens[:], lit.lens[:h.nlit])
	n += copy(h.lens[n:], dist.lens[:h.ndist])
	h.lens[n] = 0xff // no length: ends the last run
	clear(h.code.counts[:deflateRuns])
	h.nruns = 0
	for i := 0; i < n; {
		l := h.lens[i]
		same := load64(h.lens[:], i) ^ uint64(l)*0x0101010101010101
		if same<<40 != 0 && (l == 0 || same<<32 != 0) { // nearly always: no run
			h.add(uint16(l), 0)
			i++
			continue
		}
		i += h.run(i, l)
	}
	_, per := p.lengths(h.code.lens[:deflateRuns], h.code.counts[:deflateRuns], 7)
	h.code.assign(deflateRuns, &per)
	h.nruncodes = deflateRuns
	for h.code.lens[runOrder[h.nruncodes-1]] == 0 {
		h.nruncodes--
	}
	size := 5 + 5 + 4 + 3*h.nruncodes
	for s, c := range h.code.counts[:deflateRuns] {
		size += int(c) * int(h.code.lens[s]+runBits[s])
	}
	return size
}

// run adds a run of length l from i on, and returns how long it is.
func (h *deflateHeader) run(i int, l uint8) int {
	n := 1
	for h.lens[i+n] == l {
		n++
	}
	left := n
	if l != 0 {
		h.add(uint16(l), 0)
		for left--; left >= 3; left -= min(left, 6) {
			h.add(runAgain, min(left, 6)-3)
		}
		return n - left
	}
	for ; left >= 11; left -= min(left, 138) {
		h.add(runMore, min(left, 138)-11)
	}
	if left >= 3 {
		h.add(runZeros, left-3)
		left = 0
	}
	return n - left
}

func (h *deflateHeader) add(symbol uint16, more int) {
	h.runs[h.nruns] = symbol | uint16(more)<<5
	h.nruns++
	h.code.counts[symbol]++
}

// write writes the description.
func (h *deflateHeader) write(w *bitBuffer) {
	w.add(uint64(h.nlit-257), 5)
	w.add(uint64(h.ndist-1), 5)
	w.add(uint64(h.nruncodes-4), 4)
	w.flush()
	for _, s := range runOrder[:h.nruncodes] {
		w.add(uint64(h.code.lens[s]), 3)
		w.flush()
	}
	for _, r := range h.runs[:h.nruns] {
		s := r & 31
		l := uint(h.code.lens[s])
		w.add(uint64(h.code.codes[s])|uint64(r>>5)<<l, l+uint(runBits[s]))
		w.flush()
	}
}
