package codec

import (
	"encoding/binary"
	"errors"
)

var (
	errLZOInput  = errors.New("stream ends early")
	errLZOOutput = errors.New("expands to more than a page")
	errLZODist   = errors.New("match reaches before the page")
	errLZOShort  = errors.New("expands to less than a page")
	errLZOTrail  = errors.New("bytes after the end of the stream")
)

// decodeLZO expands an LZO1X stream (bitstream version 0 of the kernel's
// lzo.rst) that must fill dst exactly.
func decodeLZO(dst, src []byte) error {
	if len(src) == 0 {
		return errLZOInput
	}
	ip, op := 0, 0
	lits := 0  // literals to copy now
	state := 0 // literals that the last instruction copied; 4 for a run
	if b := int(src[0]); b > 17 {
		ip, lits = 1, b-17
		state = min(lits, 4)
	}
	for {
		if lits > len(src)-ip {
			return errLZOInput
		}
		if lits > len(dst)-op {
			return errLZOOutput
		}
		copy(dst[op:], src[ip:ip+lits])
		ip, op = ip+lits, op+lits
		if ip == len(src) {
			return errLZOInput
		}
		b := int(src[ip])
		ip++
		var n, dist int
		switch {
		case b >= 64:
			if ip == len(src) {
				return errLZOInput
			}
			n, dist = b>>5+1, int(src[ip])<<3+b>>2&7+1
			lits = b & 3
			ip++
		case b >= 16:
			mask := 31 // 001LLLLL
			if b < 32 {
				mask = 7 // 0001HLLL
			}
			n = b & mask
			if n == 0 {
				var ok bool
				if n, ip, ok = lzoReadLength(src, ip, mask, len(dst)); !ok {
					return errLZOInput
				}
			}
			n += 2
			if len(src)-ip < 2 {
				return errLZOInput
			}
			w := int(binary.LittleEndian.Uint16(src[ip:]))
			ip += 2
			lits = w & 3
			dist = w>>2 + 1
			if b < 32 {
				dist = 16384 + b&8<<11 + w>>2
				if dist == 16384 {
					return lzoEnd(n, ip, op, len(src), len(dst))
				}
			}
		case state == 0: // a run of literals
			n = b
			if n == 0 {
				var ok bool
				if n, ip, ok = lzoReadLength(src, ip, 15, len(dst)); !ok {
					return errLZOInput
				}
			}
			lits, state = n+3, 4
			continue
		default: // a short match, of which there are two by what came before
			if ip == len(src) {
				return errLZOInput
			}
			n, dist = 2, int(src[ip])<<2+b>>2+1
			if state == 4 {
				n, dist = 3, dist+2048
			}
			lits = b & 3
			ip++
		}
		if dist > op {
			return errLZODist
		}
		if n > len(dst)-op {
			return errLZOOutput
		}
		if dist >= n {
			copy(dst[op:op+n], dst[op-dist:])
		} else {
			for i := op; i < op+n; i++ { // overlaps itself: repeats a pattern
				dst[i] = dst[i-dist]
			}
		}
		op += n
		state = lits
	}
}

// lzoReadLength reads zero bytes of 255 each and a last byte, added to base.
// It stops counting beyond limit, since no such length can be right.
func lzoReadLength(src []byte, ip, base, limit int) (n, next int, ok bool) {
	for n = base; ip < len(src) && n <= limit+base; ip++ {
		if src[ip] != 0 {
			return n + int(src[ip]), ip + 1, true
		}
		n += 255
	}
	return 0, ip, false
}

func lzoEnd(n, ip, op, srcLen, dstLen int) error {
	switch {
	case n != 3 || ip != srcLen:
		return errLZOTrail
	case op != dstLen:
		return errLZOShort
	}
	return nil
}
