package codec

// The lengths of codes in a block of deflate, RFC 1951 sections 3.2.5 to 3.2.7: the
// fixed code has two symbols of each kind that must not be used.
const (
	deflateLitLens  = 288
	deflateDistLens = 32
	endOfBlock      = 256
	farLength       = 258 // of the last length code, which is not like the others
)

// codes reads the two codes of a block.
func (d *zlibDecoder) codes(src []byte) error {
	d.b.fill(src)
	lits, dists, count := int(d.b.take(5))+257, int(d.b.take(5))+1, int(d.b.take(4))+4
	if lits > deflateLitLens-2 || dists > deflateDistLens-2 {
		return errZlibCode
	}
	// Their lengths are in a code of their own, whose lengths come in this order.
	var lens [19]uint8
	for i, s := range [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} {
		if i == count {
			break
		}
		d.b.fill(src)
		lens[s] = uint8(d.b.take(3))
	}
	if !d.lit.build(lens[:]) {
		return errZlibCode
	}
	for i := 0; i < lits+dists; {
		d.b.fill(src)
		e := d.lit.look(d.b.acc)
		d.b.take(uint(e & 15))
		if e == 0 || d.b.over(src) {
			return errZlibCode
		}
		s, l, n := e>>4, uint8(0), 1
		switch s {
		default:
			l = uint8(s)
		case 16: // the one before again
			if i == 0 {
				return errZlibCode
			}
			l, n = d.lens[i-1], 3+int(d.b.take(2))
		case 17:
			n = 3 + int(d.b.take(3))
		case 18:
			n = 11 + int(d.b.take(7))
		}
		if n > lits+dists-i {
			return errZlibCode
		}
		fill(d.lens[i:i+n], l)
		i += n
	}
	if d.b.over(src) || d.lens[endOfBlock] == 0 ||
		!d.lit.build(d.lens[:lits]) || !d.dist.build(d.lens[lits:lits+dists]) {
		return errZlibCode
	}
	return nil
}

// block expands a block in the two codes to dst[op:] and returns where it ends.
func (d *zlibDecoder) block(dst []byte, op int, src []byte) (end int, err error) {
	b := d.b
	for {
		if b.have < 48 { // that a length and a distance may have
			b.fill(src)
		}
		e := d.lit.look(b.acc)
		b.take(uint(e & 15))
		s := e >> 4
		if s < endOfBlock {
			if e == 0 {
				return 0, errZlibCode
			}
			if op >= len(dst) {
				return 0, errZlibOutput
			}
			dst[op] = byte(s)
			op++
			continue
		}
		if s == endOfBlock {
			if b.over(src) {
				return 0, errZlibInput
			}
			d.b = b
			return op, nil
		}
		n := int(s) - endOfBlock - 1 + 3
		switch {
		case s >= deflateLitLens-2:
			return 0, errZlibCode
		case s == deflateLitLens-3:
			n = farLength
		case n >= 8+3: // four codes for each number of bits that follow
			more := uint(n-3)/4 - 1
			n = 3 + (4+(n-3)&3)<<more + int(b.take(more))
		}
		e = d.dist.look(b.acc)
		b.take(uint(e & 15))
		s = e >> 4
		if e == 0 || s >= deflateDistLens-2 {
			return 0, errZlibCode
		}
		dist := int(s) + 1
		if s >= 4 { // two codes
			more := uint(s)/2 - 1
			dist = 1 + (2+int(s)&1)<<more + int(b.take(more))
		}
		if dist > op {
			return 0, errZlibDist
		}
		if n > len(dst)-op {
			return 0, errZlibOutput
		}
		copyMatch(dst, op, dist, n)
		op += n
	}
}
