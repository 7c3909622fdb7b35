package pfnset

import "math/bits"

const chunkWords = ChunkPFNs / 64

// maxRuns is how many runs of members a chunk has before it becomes a bitmap: they
// take some less than that then. Most chunks of a machine's memory have fewer, and the
// sets are what a dump of a large machine needs memory for.
const maxRuns = 640

// chunk is 128 MiB of memory, in the first of these forms that fits: all or none,
// runs, a bitmap.
type chunk struct {
	words *[chunkWords]uint64
	runs  *[]run // sorted, apart from each other, none empty
	count uint32 // members; ChunkPFNs or 0 when uniform
}

// run is the pfns of a chunk from lo up to and with hi.
type run struct{ lo, hi uint16 }

func (c *chunk) uniform() bool { return c.words == nil && c.runs == nil }

func (c *chunk) fill(in bool) {
	*c = chunk{}
	if in {
		c.count = ChunkPFNs
	}
}

// set changes the bits from lo up to, not including, hi.
func (c *chunk) set(lo, hi uint32, in bool) {
	if c.uniform() {
		if full := c.count != 0; full == in {
			return
		}
		if hi-lo == ChunkPFNs {
			c.fill(in)
			return
		}
		c.runs = new([]run)
		if c.count != 0 {
			*c.runs = []run{{0, ChunkPFNs - 1}}
		}
	}
	switch {
	case c.words != nil:
		c.setWords(lo, hi, in)
	case in:
		c.addRun(lo, hi)
	default:
		c.removeRun(lo, hi)
	}
	if c.count == 0 || c.count == ChunkPFNs {
		c.fill(in)
	} else if c.runs != nil && len(*c.runs) > maxRuns {
		c.spread()
	}
}

// search gives the index of the first run that ends at or behind i.
func search(r []run, i uint32) int {
	if n := len(r); n == 0 || uint32(r[n-1].hi) < i {
		return n // sets are mostly made from front to back
	}
	lo, hi := 0, len(r)-1
	for lo < hi {
		if mid := (lo + hi) / 2; uint32(r[mid].hi) >= i {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// addRun joins the runs that [lo, hi) touches.
func (c *chunk) addRun(lo, hi uint32) {
	r := *c.runs
	i := search(r, max(lo, 1)-1) // one that ends right before it is joined
	j := i
	first, last := lo, hi-1
	for ; j < len(r) && uint32(r[j].lo) <= hi; j++ {
		c.count -= uint32(r[j].hi-r[j].lo) + 1
		first, last = min(first, uint32(r[j].lo)), max(last, uint32(r[j].hi))
	}
	c.count += last - first + 1
	c.replace(i, j, run{uint16(first), uint16(last)})
}

// removeRun takes [lo, hi) out of the runs.
func (c *chunk) removeRun(lo, hi uint32) {
	r := *c.runs
	i := search(r, lo)
	j := i
	var left [2]run // of those that are cut
	n := 0
	for ; j < len(r) && uint32(r[j].lo) < hi; j++ {
		c.count -= uint32(r[j].hi-r[j].lo) + 1
		if a := uint32(r[j].lo); a < lo {
			left[n] = run{uint16(a), uint16(lo - 1)}
			c.count += lo - a
			n++
		}
		if b := uint32(r[j].hi); b >= hi {
			left[n] = run{uint16(hi), uint16(b)}
			c.count += b - hi + 1
			n++
		}
	}
	c.replace(i, j, left[:n]...)
}

// replace puts with in the place of the runs from i up to, not including, j.
func (c *chunk) replace(i, j int, with ...run) {
	r := *c.runs
	switch n := len(r) + len(with) - (j - i); {
	case n <= cap(r):
		old := len(r)
		r = r[:max(n, old)]
		copy(r[i+len(with):], r[j:old])
		r = r[:n]
	default:
		grown := make([]run, n, min(2*n, max(n, maxRuns+1)))
		copy(grown, r[:i])
		copy(grown[i+len(with):], r[j:])
		r = grown
	}
	copy(r[i:], with)
	*c.runs = r
}

// spread makes a bitmap of the runs.
func (c *chunk) spread() {
	r := *c.runs
	*c = chunk{words: new([chunkWords]uint64)}
	for _, x := range r {
		c.setWords(uint32(x.lo), uint32(x.hi)+1, true)
	}
}

func (c *chunk) setWords(lo, hi uint32, in bool) {
	for lo < hi {
		w := lo / 64
		n := min(64-lo%64, hi-lo)
		mask := (^uint64(0) >> (64 - n)) << (lo % 64)
		old := c.words[w]
		now := old &^ mask
		if in {
			now = old | mask
		}
		c.words[w] = now
		c.count += uint32(bits.OnesCount64(now)) - uint32(bits.OnesCount64(old))
		lo += n
	}
}

func (c *chunk) has(i uint32) bool {
	switch {
	case c.words != nil:
		return c.words[i/64]>>(i%64)&1 != 0
	case c.runs != nil:
		r := *c.runs
		k := search(r, i)
		return k < len(r) && uint32(r[k].lo) <= i
	}
	return c.count != 0
}

// countRange is the number of members from lo up to, not including, hi.
func (c *chunk) countRange(lo, hi uint32) uint32 {
	var n uint32
	switch {
	case lo >= hi:
	case hi-lo == ChunkPFNs:
		return c.count
	case c.uniform():
		if c.count != 0 {
			return hi - lo
		}
	case c.runs != nil:
		r := *c.runs
		for k := search(r, lo); k < len(r) && uint32(r[k].lo) < hi; k++ {
			n += min(hi, uint32(r[k].hi)+1) - max(lo, uint32(r[k].lo))
		}
	default:
		for lo < hi {
			step := min(64-lo%64, hi-lo)
			mask := (^uint64(0) >> (64 - step)) << (lo % 64)
			n += uint32(bits.OnesCount64(c.words[lo/64] & mask))
			lo += step
		}
	}
	return n
}

// next gives the first bit from i on that is in the set, or with in false not.
func (c *chunk) next(i uint32, in bool) (uint32, bool) {
	switch {
	case c.uniform():
		return i, (c.count != 0) == in
	case c.runs != nil:
		r := *c.runs
		k := search(r, i)
		inside := k < len(r) && uint32(r[k].lo) <= i
		switch {
		case inside == in:
			return i, true
		case in && k < len(r):
			return uint32(r[k].lo), true
		case !in && r[k].hi < ChunkPFNs-1: // runs do not touch
			return uint32(r[k].hi) + 1, true
		}
		return 0, false
	}
	for ; i < ChunkPFNs; i = (i/64 + 1) * 64 {
		w := c.words[i/64]
		if !in {
			w = ^w
		}
		if w &= ^uint64(0) << (i % 64); w != 0 {
			return i/64*64 + uint32(bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// word is the 64 bits from i on, a multiple of 64.
func (c *chunk) word(i uint32) uint64 {
	switch {
	case c.words != nil:
		return c.words[i/64]
	case c.runs != nil:
		var w uint64
		r := *c.runs
		for k := search(r, i); k < len(r) && uint32(r[k].lo) < i+64; k++ {
			lo, hi := max(uint32(r[k].lo), i)-i, min(uint32(r[k].hi), i+63)-i
			w |= ^uint64(0) >> (63 - (hi - lo)) << lo
		}
		return w
	case c.count != 0:
		return ^uint64(0)
	}
	return 0
}

func (c *chunk) clone() chunk {
	d := *c
	if c.words != nil {
		w := *c.words
		d.words = &w
	}
	if c.runs != nil {
		r := append([]run(nil), *c.runs...)
		d.runs = &r
	}
	return d
}
