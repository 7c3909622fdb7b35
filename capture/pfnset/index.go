package pfnset

// Index answers how many members lie below a pfn in constant time. It is made
// once from a set that no longer changes; 8 bytes for each 128 MiB of memory.
type Index struct {
	set   *Set
	below []uint64 // members in all earlier chunks
}

// NewIndex counts s. The index is wrong once s changes.
func NewIndex(s *Set) *Index {
	x := &Index{set: s, below: make([]uint64, len(s.chunks))}
	var n uint64
	for i := range s.chunks {
		x.below[i] = n
		n += uint64(s.chunks[i].count)
	}
	return x
}

// Rank is the number of members below pfn: the slot of pfn's descriptor in a
// kdump-compressed file.
func (x *Index) Rank(pfn uint64) uint64 {
	if pfn >= x.set.limit {
		return x.set.Len()
	}
	k := pfn / ChunkPFNs
	return x.below[k] + uint64(x.set.chunks[k].countRange(0, uint32(pfn%ChunkPFNs)))
}
