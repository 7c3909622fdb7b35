package codec

import (
	"encoding/binary"
	"errors"
)

var errZstdLits = errors.New("literals are corrupt")

// litsTreeless is, with those of the encoder, a type of a literals section: its
// Huffman code is that of the block before.
const litsTreeless = 3

// literals expands a block's literals (RFC 8878 section 3.1.1.3.1) to the end of
// dst, and returns where they begin and the rest of the block. That is where they
// are in nobody's way: as long as the matches that are to come fit the page, what
// is written from dst[op] on never passes the literals that are still to be moved.
func (d *zstdDecoder) literals(dst []byte, op int, src []byte) (lp int, rest []byte, err error) {
	if len(src) == 0 {
		return 0, nil, errZstdInput
	}
	// All headers are the low bytes of this, first byte lowest.
	var h uint64
	for i, b := range src[:min(len(src), 5)] {
		h |= uint64(b) << (8 * i)
	}
	kind, form := h&3, h>>2&3
	if kind == litsHuff || kind == litsTreeless {
		return d.huffLiterals(dst, op, src, kind == litsTreeless, form, h>>4)
	}
	head, n := 1, int(h>>3&(1<<5-1))
	switch form {
	case 1:
		head, n = 2, int(h>>4&(1<<12-1))
	case 3:
		head, n = 3, int(h>>4&(1<<20-1))
	}
	coded := n
	if kind == litsSingle {
		coded = 1
	}
	if head+coded > len(src) {
		return 0, nil, errZstdInput
	}
	if n > len(dst)-op {
		return 0, nil, errZstdOutput
	}
	lp = len(dst) - n
	if kind == litsSingle {
		fill(dst[lp:], src[head])
	} else {
		copy(dst[lp:], src[head:head+n])
	}
	return lp, src[head+coded:], nil
}

// huffLiterals are literals in a Huffman code; h has their sizes.
func (d *zstdDecoder) huffLiterals(dst []byte, op int, src []byte, treeless bool, form, h uint64) (lp int, rest []byte, err error) {
	head, width := 3, 10
	switch form {
	case 2:
		head, width = 4, 14
	case 3:
		head, width = 5, 18
	}
	n, coded := int(h&(1<<width-1)), int(h>>width&(1<<width-1))
	if head+coded > len(src) {
		return 0, nil, errZstdInput
	}
	if n > len(dst)-op {
		return 0, nil, errZstdOutput
	}
	rest, src = src[head+coded:], src[head:head+coded]
	if !treeless {
		if src, err = d.huff.read(src); err != nil {
			return 0, nil, err
		}
	}
	if d.huff.log == 0 {
		return 0, nil, errZstdHuff
	}
	lp = len(dst) - n
	all := [4]huffStream{{src: src, dst: dst[lp:]}}
	if form == 0 {
		if !d.huff.streams(all[:1]) {
			return 0, nil, errZstdLits
		}
		return lp, rest, nil
	}
	// Four streams, behind the lengths of the first three.
	const jump = 6
	quarter := (n + 3) / 4
	if len(src) < jump || 3*quarter > n {
		return 0, nil, errZstdLits
	}
	body := src[jump:]
	for i := range 3 {
		size := int(binary.LittleEndian.Uint16(src[2*i:]))
		if size > len(body) {
			return 0, nil, errZstdLits
		}
		all[i] = huffStream{src: body[:size], dst: dst[lp+i*quarter : lp+(i+1)*quarter]}
		body = body[size:]
	}
	all[3] = huffStream{src: body, dst: dst[lp+3*quarter:]}
	if !d.huff.streams(all[:]) {
		return 0, nil, errZstdLits
	}
	return lp, rest, nil
}
