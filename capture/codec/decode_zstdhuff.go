package codec

import (
	"errors"
	"math/bits"
)

var errZstdHuff = errors.New("code of literals is corrupt")

// huffDecoder is the Huffman code of literals, RFC 8878 section 4.2.
type huffDecoder struct {
	log     uint                     // the longest code; 0 when there is no code yet
	table   [1 << maxHuffBits]uint16 // by the next log bits: symbol, and 256 times its bits
	weights [256 + 1]uint8           // one more than symbols: they come in pairs
	fse     fseDecoder
}

const maxHuffWeight = maxHuffBits // of a symbol with a code of one bit

// read takes the code from the beginning of src and returns the rest.
func (h *huffDecoder) read(src []byte) (rest []byte, err error) {
	h.log = 0
	if len(src) == 0 {
		return nil, errZstdInput
	}
	n, count := int(src[0]), 0
	src = src[1:]
	if n >= 128 { // weights of four bits, the high ones first
		count = n - 127
		n = (count + 1) / 2
		if n > len(src) {
			return nil, errZstdInput
		}
		for i, b := range src[:n] {
			h.weights[2*i], h.weights[2*i+1] = b>>4, b&15
		}
	} else {
		if n > len(src) {
			return nil, errZstdInput
		}
		if count = h.fseWeights(src[:n]); count == 0 {
			return nil, errZstdHuff
		}
	}
	if !h.build(count) {
		return nil, errZstdHuff
	}
	return src[n:], nil
}

// fseWeights reads weights that two states of one FSE code take turns to tell. It
// returns how many they are; 0 when they are corrupt.
func (h *huffDecoder) fseWeights(src []byte) int {
	const maxLog = 6
	src = h.fse.read(src, maxLog, maxHuffWeight)
	var b backBits
	if src == nil || !b.start(src) {
		return 0
	}
	s, other := b.take(h.fse.log), b.take(h.fse.log)
	if b.left() < 0 {
		return 0
	}
	for n := 0; n < 254; n++ {
		c := h.fse.cells[s%uint32(len(h.fse.cells))]
		h.weights[n] = c.sym
		b.fill(src)
		if b.left() < int(c.bits) { // the other state has one more to tell
			h.weights[n+1] = h.fse.cells[other%uint32(len(h.fse.cells))].sym
			return n + 2
		}
		s, other = other, uint32(c.next)+b.take(uint(c.bits))
	}
	return 0
}

// build makes the table of count weights. The last symbol's is not told: it is what
// the others leave.
func (h *huffDecoder) build(count int) bool {
	var of [maxHuffWeight + 2]uint32 // symbols of each weight; then where they begin
	sum := uint32(0)
	for _, w := range h.weights[:count] {
		if w > maxHuffWeight {
			return false
		}
		of[w]++
		sum += 1 << w >> 1
	}
	log := uint(bits.Len32(sum))
	if sum == 0 || log > maxHuffBits {
		return false
	}
	last := uint32(1)<<log - sum
	if last&(last-1) != 0 {
		return false
	}
	h.weights[count] = uint8(bits.Len32(last))
	of[h.weights[count]]++
	if of[1] < 2 { // the longest codes come in pairs
		return false
	}
	at := uint32(0)
	for w := uint(1); w <= log; w++ {
		n := of[w]
		of[w] = at
		at += n << (w - 1)
	}
	for s, w := range h.weights[:count+1] {
		if w == 0 {
			continue
		}
		from, n := of[w], uint32(1)<<(w-1)
		of[w] += n
		c := uint16(log+1-uint(w))<<8 | uint16(s)
		cells := h.table[from : from+n]
		for i := range cells {
			cells[i] = c
		}
	}
	h.log = log
	return true
}
