package kernel

import "encoding/binary"

// tableCache keeps the pieces of page tables that were read last. It is direct
// mapped by the address of the piece, so that the few tables of one walk stay.
type tableCache struct {
	lines [cacheLines]cacheLine
}

const (
	cacheLines = 16
	cachePiece = 4096
)

type cacheLine struct {
	pa   uint64 // of the piece
	data *[cachePiece]byte
}

// entry reads the page-table entry at physical address slot.
func (s *Space) entry(slot uint64) (uint64, error) {
	base := slot &^ (cachePiece - 1)
	// tables are often neighbours, so the page number alone spreads well
	l := &s.cache.lines[(base/cachePiece^base/cachePiece/cacheLines)%cacheLines]
	if l.data == nil || l.pa != base {
		data := l.data
		l.data = nil // no half-read piece after an error
		if data == nil {
			data = new([cachePiece]byte)
		}
		if err := s.mem.ReadPhys(data[:], base); err != nil {
			return 0, err
		}
		l.pa, l.data = base, data
	}
	return binary.LittleEndian.Uint64(l.data[slot-base&^7:]), nil
}
