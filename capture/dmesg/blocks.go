package dmesg

// text gives at most want bytes of the text block between the logical positions
// begin and next, which must carry id. The slice is good until the next call.
func (r *ringbuffer) text(w *window, begin, next, id, want uint64, bad *tally) ([]byte, bool) {
	if begin&1 != 0 && next&1 != 0 { // no block: an empty line, or no room for the text
		if begin == emptyText && next == emptyText {
			return nil, true
		}
		bad.add(textLost, "id", id)
		return nil, false
	}
	at, size, ok := r.block(begin, next)
	if !ok || size <= blockID {
		bad.add(textForeign, "id", id)
		return nil, false
	}
	n := min(want, size-blockID)
	b, err := w.bytes(r.data+at, int(blockID+n))
	if err != nil {
		bad.add(unreadable, "id", id)
		return nil, false
	}
	if u64(b) != id {
		bad.add(textForeign, "id", id)
		return nil, false
	}
	if n < want {
		bad.add(textCut, "id", id)
	}
	return b[blockID:], true
}

// block turns two logical positions into an offset in the text ring and a size.
// Positions count on for ever; a block that would cross the end of the ring
// lies at its start instead, and next is counted from there. In newer kernels
// a block may also end exactly at the end of the ring.
func (r *ringbuffer) block(begin, next uint64) (at, size uint64, ok bool) {
	mask := r.size - 1
	turns := next&^mask - begin&^mask // in bytes: 0, or one ring; may pass 2^64
	switch {
	case begin%8 != 0:
		return 0, 0, false
	case turns == 0 && begin < next:
		return begin & mask, next - begin, true
	case turns == r.size && next&mask == 0:
		return begin & mask, r.size - begin&mask, true
	case turns == r.size:
		return 0, next & mask, true
	}
	return 0, 0, false
}
