package codec

import "math/bits"

// The LZO1X instructions that the encoder uses, by the kernel's lzo.rst:
//
//	first byte 17+n        n literals follow (1 to 238), at the start only
//	0000LLLL               3+L literals follow; L=0: 18+255*zeros+byte
//	LLLDDDSS H             match of L+1 (3 to 8) bytes, distance 8*H+D+1
//	001LLLLL low high      match of L+2, distance up to 16384
//	0001HLLL low high      match of L+2, distance 16385 to 49151
//	00010001 0 0           end
//
// SS, in the match's last two bytes, is the number of literals (0 to 3) that
// follow the match.
const (
	lzoMaxM2Len  = 8
	lzoMaxM2Dist = 1 << 11
	lzoMaxM3Len  = 33
	lzoMaxM3Dist = 1 << 14
	lzoMaxM4Len  = 9
	lzoMaxM4Dist = 3<<14 - 1
	lzoTail      = 20 // bytes at the end that start no match: a run to be told apart
	lzoHashLog   = 12
)

// lzoEncoder is a greedy parser over one hash table of positions. A page is at
// most 64 KiB, so that a position fits 16 bits.
type lzoEncoder struct {
	w        window
	out      byteBuffer
	table    [1 << lzoHashLog]uint16
	pageSize int
}

func newLZOEncoder(pageSize int) *lzoEncoder {
	return &lzoEncoder{pageSize: pageSize}
}

func (e *lzoEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, e.pageSize)
	e.w.fill(page)
	n := e.encode(len(page))
	if n >= len(page) {
		return nil, false
	}
	return append(dst[:0], e.out[:n]...), true
}

// encode returns the length of the stream of a page of n bytes in out. A match never
// takes more than it gives, so that there is room.
func (e *lzoEncoder) encode(n int) int {
	clear(e.table[:])
	w, out := &e.w, &e.out
	end := n - lzoTail
	lit, op := 0, 0
	for ip := 1; ; { // position 0 can match nothing before it
		// Find the next match: where 4 bytes are those at an earlier place.
		if ip >= end {
			return e.finish(op, lit, n)
		}
		v := w.load(ip)
		s := &e.table[uint32(v)*0x1e35a7bd>>(32-lzoHashLog)]
		from := int(*s)
		*s = uint16(ip)
		diff := w.load(from) ^ v
		if uint32(diff) != 0 || ip-from > lzoMaxM4Dist {
			ip += 1 + (ip-lit)>>5 // hurry through what does not compress
			continue
		}
		if run := ip - lit; run <= 3 && op != 0 {
			// So do most; it does not matter if there are none.
			out[(op-2)&byteMask] |= byte(run)
			out.put32(op, uint32(w.load(lit)))
			op += run
		} else {
			op = e.literals(op, lit, ip)
		}
		l := bits.TrailingZeros64(diff) >> 3
		if diff == 0 {
			l = w.longer(from, ip, n)
		}
		if dist := ip - from; l <= lzoMaxM2Len && dist <= lzoMaxM2Dist {
			dist--
			out.put16(op, (l-1)<<5|dist&7<<2|dist>>3<<8)
			op += 2
		} else if l <= lzoMaxM3Len && dist <= lzoMaxM3Dist {
			out[op&byteMask] = byte(0x20 | (l - 2))
			out.put16(op+1, (dist-1)<<2)
			op += 3
		} else {
			op = e.farMatch(op, l, dist)
		}
		ip += l
		lit = ip
		if op >= n {
			return op
		}
	}
}

// literals writes those of the page's positions from to to, at least one, before a
// match.
func (e *lzoEncoder) literals(op, from, to int) int {
	out := &e.out
	n := to - from
	switch {
	case op == 0 && n <= 238:
		out[0] = byte(17 + n)
		op = 1
	case n <= 3:
		out[(op-2)&byteMask] |= byte(n)
	case n <= 18:
		out[op&byteMask] = byte(n - 3)
		op++
	default:
		out[op&byteMask] = 0
		op = e.length(op+1, n-18)
	}
	for i := 0; i < n; i += 16 {
		out.put128(op+i, e.w.wide(from+i))
	}
	return op + n
}

// length writes n, at least 1, as zero bytes of 255 each and a last byte.
func (e *lzoEncoder) length(op, n int) int {
	for n > 255 {
		e.out[op&byteMask] = 0
		op++
		n -= 255
	}
	e.out[op&byteMask] = byte(n)
	return op + 1
}

// farMatch writes a match of n bytes at a distance, for which there is no short form.
func (e *lzoEncoder) farMatch(op, n, dist int) int {
	kind, most := 0x20, lzoMaxM3Len
	if dist > lzoMaxM3Dist {
		dist -= lzoMaxM3Dist
		kind, most = 0x10|dist>>14<<3, lzoMaxM4Len
		dist = dist&(1<<14-1) + 1
	}
	if n <= most {
		e.out[op&byteMask] = byte(kind | (n - 2))
		op++
	} else {
		e.out[op&byteMask] = byte(kind)
		op = e.length(op+1, n-most)
	}
	e.out.put16(op, (dist-1)<<2)
	return op + 2
}

// finish writes the last literals, from lit on, and the end mark.
func (e *lzoEncoder) finish(op, lit, n int) int {
	if n > lit {
		op = e.literals(op, lit, n)
	}
	return op + copy(e.out[op:], []byte{0x11, 0, 0})
}
