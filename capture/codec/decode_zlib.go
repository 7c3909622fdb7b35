package codec

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
)

// zlibDecoder expands the stream of a page (RFC 1950 and 1951). It is our own
// since a page is all that it must know: both ends are in memory, so that there is
// no window, and nothing to read and write through.
type zlibDecoder struct {
	b         forwardBits
	lit, dist prefixDecoder
	lens      [deflateLitLens + deflateDistLens]uint8
}

var (
	errZlibHeader = errors.New("zlib header is wrong")
	errZlibSum    = errors.New("checksum does not match")
	errZlibInput  = errors.New("stream ends early")
	errZlibOutput = errors.New("expands to more than a page")
	errZlibShort  = errors.New("expands to less than a page")
	errZlibTrail  = errors.New("bytes after the end of the stream")
	errZlibBlock  = errors.New("block is corrupt")
	errZlibCode   = errors.New("prefix code is corrupt")
	errZlibDist   = errors.New("match reaches before the page")
)

func (d *zlibDecoder) decode(dst, src []byte) error {
	// RFC 1950: deflate, no dictionary, header divisible by 31; then adler32.
	if len(src) < 6 || src[0]&15 != 8 || src[1]&0x20 != 0 || binary.BigEndian.Uint16(src)%31 != 0 {
		return errZlibHeader
	}
	body, sum := src[2:len(src)-4], binary.BigEndian.Uint32(src[len(src)-4:])
	d.b = forwardBits{}
	op := 0
	for last := false; !last; {
		d.b.fill(body)
		last = d.b.take(1) != 0
		kind := d.b.take(2)
		if d.b.over(body) {
			return errZlibInput
		}
		var err error
		switch kind {
		case 0:
			op, err = d.stored(dst, op, body)
		case 1:
			d.lit.build(fixedLits.lens[:deflateLitLens])
			d.dist.build(fixedDists.lens[:deflateDistLens])
			op, err = d.block(dst, op, body)
		case 2:
			if err = d.codes(body); err == nil {
				op, err = d.block(dst, op, body)
			}
		default:
			err = errZlibBlock
		}
		if err != nil {
			return err
		}
	}
	switch {
	case op != len(dst):
		return errZlibShort
	case d.b.next() != len(body):
		return errZlibTrail
	case adler32.Checksum(dst) != sum:
		return errZlibSum
	}
	return nil
}

// stored copies a block that is not compressed: it begins at a byte, with its
// length and that inverted.
func (d *zlibDecoder) stored(dst []byte, op int, src []byte) (end int, err error) {
	at := d.b.next()
	if len(src)-at < 4 {
		return 0, errZlibInput
	}
	n := int(binary.LittleEndian.Uint16(src[at:]))
	if n^0xffff != int(binary.LittleEndian.Uint16(src[at+2:])) {
		return 0, errZlibBlock
	}
	at += 4
	if n > len(src)-at {
		return 0, errZlibInput
	}
	if n > len(dst)-op {
		return 0, errZlibOutput
	}
	d.b = forwardBits{at: at + n}
	return op + copy(dst[op:], src[at:at+n]), nil
}
