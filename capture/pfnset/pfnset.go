// Package pfnset holds sets of page frame numbers: which pages are RAM, which
// are stored in a dump. A set is a bitmap in chunks of 128 MiB of memory (one
// memory section of x86-64); a chunk whose pages are all in, or all out, takes
// no storage, so that a mostly excluded or mostly unpopulated machine of many
// TiB needs little. A fully mixed set takes 32 MiB for each TiB of 4 KiB pages.
//
// The package knows nothing of files or kernels.
package pfnset

import "math/bits"

// ChunkPFNs is the number of pfns that one chunk holds.
const ChunkPFNs = 1 << 15

const chunkWords = ChunkPFNs / 64

type chunk struct {
	words *[chunkWords]uint64 // nil when the chunk is uniform
	count uint32              // members; ChunkPFNs or 0 when uniform
}

// Set is a set of pfns below a fixed limit. The zero value is the empty set
// with limit 0. Readers may share a set; a writer needs it alone.
type Set struct {
	chunks []chunk
	limit  uint64
}

// New returns an empty set that can hold pfns below limit.
func New(limit uint64) *Set {
	return &Set{chunks: make([]chunk, (limit+ChunkPFNs-1)/ChunkPFNs), limit: limit}
}

// Limit is the number that every member is below.
func (s *Set) Limit() uint64 { return s.limit }

// Has tells whether pfn is in the set. A pfn at or above the limit is not.
func (s *Set) Has(pfn uint64) bool {
	if pfn >= s.limit {
		return false
	}
	c := &s.chunks[pfn/ChunkPFNs]
	if c.words == nil {
		return c.count != 0
	}
	i := pfn % ChunkPFNs
	return c.words[i/64]>>(i%64)&1 != 0
}

// AddRange puts the pfns from start up to, not including, end into the set.
// What lies at or above the limit is left out.
func (s *Set) AddRange(start, end uint64) { s.setRange(start, end, true) }

// RemoveRange takes the pfns from start up to, not including, end out of the set.
func (s *Set) RemoveRange(start, end uint64) { s.setRange(start, end, false) }

// Add puts one pfn into the set.
func (s *Set) Add(pfn uint64) { s.setRange(pfn, pfn+1, true) }

// Remove takes one pfn out of the set.
func (s *Set) Remove(pfn uint64) { s.setRange(pfn, pfn+1, false) }

func (s *Set) setRange(start, end uint64, in bool) {
	end = min(end, s.limit)
	for start < end {
		k := start / ChunkPFNs
		base := k * ChunkPFNs
		stop := min(end, base+ChunkPFNs)
		s.chunks[k].set(uint32(start-base), uint32(stop-base), in)
		start = stop
	}
}

// set changes the bits from lo up to hi of one chunk.
func (c *chunk) set(lo, hi uint32, in bool) {
	if c.words == nil {
		if full := c.count != 0; full == in {
			return
		}
		if hi-lo == ChunkPFNs {
			c.fill(in)
			return
		}
		c.words = new([chunkWords]uint64)
		if c.count != 0 {
			for i := range c.words {
				c.words[i] = ^uint64(0)
			}
		}
	}
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
	if c.count == 0 || c.count == ChunkPFNs {
		c.fill(in)
	}
}

func (c *chunk) fill(in bool) {
	c.words, c.count = nil, 0
	if in {
		c.count = ChunkPFNs
	}
}

// Len is the number of members.
func (s *Set) Len() uint64 {
	var n uint64
	for i := range s.chunks {
		n += uint64(s.chunks[i].count)
	}
	return n
}

// LenRange is the number of members from start up to, not including, end.
func (s *Set) LenRange(start, end uint64) uint64 {
	var n uint64
	end = min(end, s.limit)
	for start < end {
		k := start / ChunkPFNs
		base := k * ChunkPFNs
		stop := min(end, base+ChunkPFNs)
		n += uint64(s.chunks[k].countRange(uint32(start-base), uint32(stop-base)))
		start = stop
	}
	return n
}

func (c *chunk) countRange(lo, hi uint32) uint32 {
	if c.words == nil {
		if c.count == 0 {
			return 0
		}
		return hi - lo
	}
	if hi-lo == ChunkPFNs {
		return c.count
	}
	var n int
	for lo < hi {
		step := min(64-lo%64, hi-lo)
		mask := (^uint64(0) >> (64 - step)) << (lo % 64)
		n += bits.OnesCount64(c.words[lo/64] & mask)
		lo += step
	}
	return uint32(n)
}

// Next gives the first member at or above pfn; ok is false when there is none.
func (s *Set) Next(pfn uint64) (next uint64, ok bool) { return s.find(pfn, true) }

// NextAbsent gives the first pfn at or above pfn and below the limit that is
// not in the set; ok is false when there is none.
func (s *Set) NextAbsent(pfn uint64) (next uint64, ok bool) { return s.find(pfn, false) }

func (s *Set) find(pfn uint64, in bool) (uint64, bool) {
	for pfn < s.limit {
		c := &s.chunks[pfn/ChunkPFNs]
		base := pfn / ChunkPFNs * ChunkPFNs
		if c.words == nil {
			if (c.count != 0) == in {
				return pfn, true
			}
			pfn = base + ChunkPFNs
			continue
		}
		for i := uint32(pfn - base); i < ChunkPFNs; i = (i/64 + 1) * 64 {
			w := c.words[i/64]
			if !in {
				w = ^w
			}
			if w &= ^uint64(0) << (i % 64); w != 0 {
				got := base + uint64(i/64*64) + uint64(bits.TrailingZeros64(w))
				return got, got < s.limit
			}
		}
		pfn = base + ChunkPFNs
	}
	return 0, false
}

// Clone returns a copy that shares nothing with s.
func (s *Set) Clone() *Set {
	t := &Set{chunks: make([]chunk, len(s.chunks)), limit: s.limit}
	for i, c := range s.chunks {
		if c.words != nil {
			w := *c.words
			c.words = &w
		}
		t.chunks[i] = c
	}
	return t
}
