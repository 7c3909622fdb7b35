package codec

import (
	"encoding/binary"
	"math/bits"
)

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
	lzoMaxM2Len   = 8
	lzoMaxM2Dist  = 1 << 11
	lzoMaxM3Len   = 33
	lzoMaxM3Dist  = 1 << 14
	lzoMaxM4Len   = 9
	lzoMaxM4Dist  = 3<<14 - 1
	lzoMinMatch   = 4  // shorter ones do not pay
	lzoTail       = 20 // bytes at the end that start no match: room for wide loads
	lzoMaxHashLog = 13
)

// lzoEncoder is a greedy parser over one hash table of positions. A page is at
// most 64 KiB, so that a position fits 16 bits.
type lzoEncoder struct {
	table    [1 << lzoMaxHashLog]uint16
	pageSize int
	hashLog  uint
}

func newLZOEncoder(pageSize int) *lzoEncoder {
	// The table is cleared for each page: small pages get a small one.
	return &lzoEncoder{pageSize: pageSize, hashLog: min(uint(bits.Len(uint(pageSize)))-2, lzoMaxHashLog)}
}

func (e *lzoEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, e.pageSize)
	n := e.encode(dst[:MaxEncoded(e.pageSize)], page)
	if n >= len(page) {
		return nil, false
	}
	return dst[:n], true
}

// encode returns the length of the stream in dst, which has MaxEncoded bytes:
// more than literals alone can need, and a match never takes more than it gives.
func (e *lzoEncoder) encode(dst, src []byte) int {
	clear(e.table[:1<<e.hashLog])
	shift := 32 - e.hashLog
	end := len(src) - lzoTail
	ip, lit, op := 1, 0, 0 // position 0 can match nothing before it
	for {
		// Find the next match: where 4 bytes are those at an earlier place.
		var cand int
		var diff uint64
		for {
			if ip >= end {
				return lzoFinish(dst, op, src, lit)
			}
			v := binary.LittleEndian.Uint64(src[ip:])
			h := uint32(v) * 0x1e35a7bd >> shift & (1<<lzoMaxHashLog - 1)
			cand = int(e.table[h])
			e.table[h] = uint16(ip)
			diff = binary.LittleEndian.Uint64(src[cand:]) ^ v
			if uint32(diff) == 0 && ip-cand <= lzoMaxM4Dist {
				break
			}
			ip += 1 + (ip-lit)>>5 // hurry through what does not compress
		}
		op = lzoLiterals(dst, op, src, lit, ip)
		n := bits.TrailingZeros64(diff) / 8
		if diff == 0 {
			n = 8 + matchLen(src, cand+8, ip+8)
		}
		op = lzoMatch(dst, op, n, ip-cand)
		ip += n
		lit = ip
		if op >= len(src) {
			return op
		}
	}
}

// matchLen is the number of equal bytes at a and b, where a < b.
func matchLen(src []byte, a, b int) int {
	start := b
	for b+8 <= len(src) {
		if x := binary.LittleEndian.Uint64(src[a:]) ^ binary.LittleEndian.Uint64(src[b:]); x != 0 {
			return b - start + bits.TrailingZeros64(x)/8
		}
		a, b = a+8, b+8
	}
	for b < len(src) && src[a] == src[b] {
		a, b = a+1, b+1
	}
	return b - start
}

// lzoLiterals writes src[from:to] as literals before a match.
func lzoLiterals(dst []byte, op int, src []byte, from, to int) int {
	n := to - from
	switch {
	case n == 0:
		return op
	case op == 0 && n <= 238:
		dst[0] = byte(17 + n)
		op = 1
	case op != 0 && n <= 3:
		dst[op-2] |= byte(n)
		// Room for wide stores there is in dst, and for wide loads in src but
		// at its end, from where lzoFinish copies.
		binary.LittleEndian.PutUint32(dst[op:], binary.LittleEndian.Uint32(src[from:]))
		return op + n
	case n <= 16 && from+16 <= len(src):
		d, s := dst[op:op+17], src[from:from+16]
		d[0] = byte(n - 3)
		binary.LittleEndian.PutUint64(d[1:], binary.LittleEndian.Uint64(s))
		binary.LittleEndian.PutUint64(d[9:], binary.LittleEndian.Uint64(s[8:]))
		return op + 1 + n
	case n <= 18:
		dst[op] = byte(n - 3)
		op++
	default:
		dst[op] = 0
		op = lzoLength(dst, op+1, n-18)
	}
	return op + copy(dst[op:], src[from:to])
}

// lzoLength writes n, at least 1, as zero bytes of 255 each and a last byte.
func lzoLength(dst []byte, op, n int) int {
	for n > 255 {
		dst[op] = 0
		op++
		n -= 255
	}
	dst[op] = byte(n)
	return op + 1
}

// lzoMatch writes a match of n bytes, at least 3, at a distance.
func lzoMatch(dst []byte, op, n, dist int) int {
	switch {
	case n <= lzoMaxM2Len && dist <= lzoMaxM2Dist:
		dist--
		dst[op] = byte((n-1)<<5 | dist&7<<2)
		dst[op+1] = byte(dist >> 3)
		return op + 2
	case dist <= lzoMaxM3Dist:
		dist--
		if n <= lzoMaxM3Len {
			dst[op] = byte(0x20 | (n - 2))
			op++
		} else {
			dst[op] = 0x20
			op = lzoLength(dst, op+1, n-lzoMaxM3Len)
		}
	default:
		dist -= lzoMaxM3Dist
		high := dist >> 14 << 3
		dist &= 1<<14 - 1
		if n <= lzoMaxM4Len {
			dst[op] = byte(0x10 | high | (n - 2))
			op++
		} else {
			dst[op] = byte(0x10 | high)
			op = lzoLength(dst, op+1, n-lzoMaxM4Len)
		}
	}
	binary.LittleEndian.PutUint16(dst[op:], uint16(dist<<2))
	return op + 2
}

// lzoFinish writes the last literals and the end mark.
func lzoFinish(dst []byte, op int, src []byte, lit int) int {
	if op != 0 && len(src)-lit <= 3 {
		dst[op-2] |= byte(len(src) - lit)
		op += copy(dst[op:], src[lit:])
	} else {
		op = lzoLiterals(dst, op, src, lit, len(src))
	}
	return op + copy(dst[op:], []byte{0x11, 0, 0})
}
