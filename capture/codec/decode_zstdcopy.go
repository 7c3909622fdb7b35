package codec

// again is the distance that an offset of 1 to 3 means, one of the latest (RFC 8878
// section 3.1.1.5); 0 is none.
func (d *zstdDecoder) again(off uint32, lits int) uint32 {
	r := &d.recent
	if lits == 0 { // the latest would have made one match with the one before
		off++
	}
	switch off {
	case 2:
		r[0], r[1] = r[1], r[0]
	case 3:
		r[0], r[1], r[2] = r[2], r[0], r[1]
	case 4:
		r[0], r[1], r[2] = r[0]-1, r[0], r[1]
	}
	return r[0]
}

// moveLits moves n bytes from lp to op before it.
func moveLits(dst []byte, op, lp, n int) {
	// Most are few: 16 bytes at once, where what is too much does no harm.
	if n <= 16 && op+16 <= lp+n && lp+16 <= len(dst) {
		a, b := load64(dst, lp), load64(dst, lp+8)
		putUint64(dst[op:], a)
		putUint64(dst[op+8:], b)
		return
	}
	copy(dst[op:op+n], dst[lp:lp+n])
}

// copyMatch fills dst[op:op+n] with what is dist bytes before. What is behind it
// in dst is of no use yet.
func copyMatch(dst []byte, op, dist, n int) {
	if dist >= 8 && n <= 32 && op+32 <= len(dst) {
		for end := op + n; op < end; op += 8 {
			putUint64(dst[op:], load64(dst, op-dist))
		}
		return
	}
	b := dst[op-dist : op+n]
	if dist < 8 && n <= 16 {
		for i := dist; i < len(b); i++ {
			b[i] = b[i-dist]
		}
		return
	}
	for at := dist; at < len(b); { // twice as much each time
		at += copy(b[at:], b[:at])
	}
}
