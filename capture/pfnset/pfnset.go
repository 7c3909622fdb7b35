// Package pfnset holds sets of page frame numbers: which pages are RAM, which
// are stored in a dump. A set is kept in chunks of 128 MiB of memory (one memory
// section of x86-64); a chunk whose pages are all in, or all out, takes no storage,
// and one with few runs of members takes little, so that a mostly excluded or mostly
// unpopulated machine of many TiB needs little. A fully mixed set takes 32 MiB for
// each TiB of 4 KiB pages.
//
// The package knows nothing of files or kernels.
package pfnset

// ChunkPFNs is the number of pfns that one chunk holds.
const ChunkPFNs = 1 << 15

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
	return s.chunks[pfn/ChunkPFNs].has(uint32(pfn % ChunkPFNs))
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

// Next gives the first member at or above pfn; ok is false when there is none.
func (s *Set) Next(pfn uint64) (next uint64, ok bool) { return s.find(pfn, true) }

// NextAbsent gives the first pfn at or above pfn and below the limit that is
// not in the set; ok is false when there is none.
func (s *Set) NextAbsent(pfn uint64) (next uint64, ok bool) { return s.find(pfn, false) }

func (s *Set) find(pfn uint64, in bool) (uint64, bool) {
	for pfn < s.limit {
		base := pfn / ChunkPFNs * ChunkPFNs
		if i, ok := s.chunks[pfn/ChunkPFNs].next(uint32(pfn-base), in); ok {
			got := base + uint64(i)
			return got, got < s.limit
		}
		pfn = base + ChunkPFNs
	}
	return 0, false
}

// Clone returns a copy that shares nothing with s.
func (s *Set) Clone() *Set {
	t := &Set{chunks: make([]chunk, len(s.chunks)), limit: s.limit}
	for i := range s.chunks {
		t.chunks[i] = s.chunks[i].clone()
	}
	return t
}
