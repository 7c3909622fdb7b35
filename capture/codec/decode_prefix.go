package codec

import "math/bits"

// prefixDecoder is a prefix code of deflate, RFC 1951 section 3.2.2.
type prefixDecoder struct {
	// table has, by the next bits, the symbol of a short code and its length in
	// the low four bits; 0 where the code is longer.
	table   [1 << prefixShort]uint16
	symbols [deflateLitLens]uint16 // by length of code, then by number
	count   [16]uint16             // of codes of each length
}

const prefixShort = 9 // bits of a code that is looked up at once

// build makes the code of symbols with codes of such lengths; false when there is
// none. One symbol alone may have one bit, and no symbol no code at all: all others
// use all codes.
func (p *prefixDecoder) build(lens []uint8) bool {
	p.count = [16]uint16{}
	for _, l := range lens {
		p.count[l&15]++
	}
	p.count[0] = 0
	var at, code [16]uint16
	left, used := 1, 0
	for l := 1; l < 16; l++ {
		at[l] = uint16(used)
		used += int(p.count[l])
		left = 2*left - int(p.count[l])
		if left < 0 {
			return false
		}
		code[l] = (code[l-1] + p.count[l-1]) << 1
	}
	if left > 0 && used > int(p.count[1]) {
		return false
	}
	clear(p.table[:])
	for s, l := range lens {
		if l &= 15; l == 0 {
			continue
		}
		p.symbols[at[l]] = uint16(s)
		at[l]++
		c := bits.Reverse16(code[l]) >> (16 - l)
		code[l]++
		if l <= prefixShort {
			for i := int(c); i < len(p.table); i += 1 << l {
				p.table[i] = uint16(s)<<4 | uint16(l)
			}
		}
	}
	return true
}

// look is the symbol that bits begin with, times 16, and how many of them it takes;
// 0 when they begin with none.
func (p *prefixDecoder) look(acc uint64) uint32 {
	if e := p.table[acc&(1<<prefixShort-1)]; e != 0 {
		return uint32(e)
	}
	return p.long(acc)
}

// long goes through the lengths: codes of one length are numbers that follow each
// other, and begin behind those of the shorter ones with a bit more.
func (p *prefixDecoder) long(acc uint64) uint32 {
	code, first, at := 0, 0, 0
	for l := range p.count {
		if l == 0 {
			continue
		}
		code |= int(acc >> (l - 1) & 1)
		n := int(p.count[l])
		if code-first < n {
			return uint32(p.symbols[at+code-first])<<4 | uint32(l)
		}
		at += n
		first = (first + n) << 1
		code <<= 1
	}
	return 0
}
