package codec

import "math/bits"

// fseDecoder decodes one kind of symbol, RFC 8878 section 4.1.
type fseDecoder struct {
	log   uint
	cells [1 << maxFSELog]fseCell
}

// fseCell is a state: its symbol, and the next state once as many bits are added.
type fseCell struct {
	next uint16
	bits uint8
	sym  uint8
}

// read takes a distribution of symbols up to most, in at most 1<<maxLog states,
// from the beginning of src, makes its table, and returns the rest; nil when it
// is corrupt.
func (t *fseDecoder) read(src []byte, maxLog uint, most int) (rest []byte) {
	var norm [maxFSESymbols]int16
	at := uint(0) // in bits
	next := func() uint32 {
		v := uint32(0)
		for i, b := range src[min(at>>3, uint(len(src))):min(at>>3+3, uint(len(src)))] {
			v |= uint32(b) << (8 * i)
		}
		return v >> (at & 7)
	}
	log := uint(next()&15) + 5
	if log > maxLog {
		return nil
	}
	at = 4
	// left is one more than what the symbols to come share.
	left, threshold, width := int32(1)<<log+1, int32(1)<<log, log+1
	s := 0
	for left > 1 {
		if s > most {
			return nil
		}
		// Values that are small enough save a bit.
		small := 2*threshold - 1 - left
		v := int32(next())
		if v&(threshold-1) < small {
			v &= threshold - 1
			at += width - 1
		} else {
			if v &= 2*threshold - 1; v >= threshold {
				v -= small
			}
			at += width
		}
		n := v - 1 // -1 is less probable than 1
		norm[s] = int16(n)
		s++
		left -= max(n, -n)
		for left < threshold {
			width--
			threshold >>= 1
		}
		for zeros := uint32(3); n == 0 && zeros == 3; { // how many more there are
			zeros = next() & 3
			at += 2
			if s += int(zeros); s > most+1 {
				return nil
			}
		}
	}
	used := (at + 7) / 8
	if left != 1 || used > uint(len(src)) {
		return nil
	}
	t.build(norm[:s], log)
	return src[used:]
}

// build makes the table of a distribution that adds up to 1<<log; -1 counts as 1
// and is a symbol less probable than that.
func (t *fseDecoder) build(norm []int16, log uint) {
	t.log = log
	size := uint32(1) << log
	cells := t.cells[:size]
	var state [maxFSESymbols]uint32
	high := int(size) - 1
	for s, n := range norm {
		state[s%maxFSESymbols] = uint32(n)
		if n < 0 {
			state[s%maxFSESymbols] = 1
			cells[high].sym = uint8(s)
			high--
		}
	}
	pos, step := 0, int(size>>1+size>>3+3)
	for s, n := range norm {
		for range n {
			cells[pos].sym = uint8(s)
			for pos = (pos + step) & int(size-1); pos > high; {
				pos = (pos + step) & int(size-1)
			}
		}
	}
	for i := range cells {
		c := &cells[i]
		x := state[c.sym%maxFSESymbols]
		state[c.sym%maxFSESymbols]++
		c.bits = uint8(log + 1 - uint(bits.Len32(x)))
		c.next = uint16(x<<c.bits - size)
	}
}

// single makes the table of one symbol that alone occurs: it takes no bits.
func (t *fseDecoder) single(s uint8) {
	t.log = 0
	t.cells[0] = fseCell{sym: s}
}
