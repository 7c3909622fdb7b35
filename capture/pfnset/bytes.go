package pfnset

import (
	"encoding/binary"
	"math/bits"
)

// Bytes fills p with the set as a bitmap, one bit for each pfn, the lowest pfn
// in the lowest bit of the first byte, starting at pfn first, which must be a
// multiple of 64. What lies at or above the limit reads as not in the set.
// This is the layout of both bitmaps of a kdump-compressed file.
func (s *Set) Bytes(p []byte, first uint64) {
	if first%64 != 0 {
		panic("pfnset: Bytes from a pfn that is no multiple of 64")
	}
	var b [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(b[:], s.word(first))
		n := copy(p, b[:])
		p = p[n:]
		first += 64
	}
}

// SetBytes adds to the set the pfns whose bits are set in p, in the layout of
// [Set.Bytes], starting at pfn first, a multiple of 64.
func (s *Set) SetBytes(p []byte, first uint64) {
	if first%64 != 0 {
		panic("pfnset: SetBytes from a pfn that is no multiple of 64")
	}
	var b [8]byte
	for len(p) > 0 {
		b = [8]byte{}
		p = p[copy(b[:], p):]
		w := binary.LittleEndian.Uint64(b[:])
		for w != 0 { // run by run: most words are all ones
			lo := bits.TrailingZeros64(w)
			run := bits.TrailingZeros64(^(w >> lo))
			s.AddRange(first+uint64(lo), first+uint64(lo+run))
			if lo+run >= 64 {
				break
			}
			w = w >> (lo + run) << (lo + run)
		}
		first += 64
	}
}

func (s *Set) word(first uint64) uint64 {
	if first >= s.limit {
		return 0
	}
	w := s.chunks[first/ChunkPFNs].word(uint32(first % ChunkPFNs))
	if left := s.limit - first; left < 64 {
		w &= 1<<left - 1
	}
	return w
}
