package codec

import (
	"encoding/binary"
	"errors"

	"github.com/cespare/xxhash/v2"
)

// zstdDecoder expands the one frame of a page (RFC 8878). It is our own since a
// page is all that it must know: it has no window, no dictionary, no buffer
// beside the page, and nothing that runs beside it.
type zstdDecoder struct {
	huff            huffDecoder
	lit, off, match fseKind
	recent          [3]uint32 // the last distances, the latest first
}

var (
	errZstdInput  = errors.New("frame ends early")
	errZstdHeader = errors.New("not the header of a frame without dictionary")
	errZstdSize   = errors.New("frame is not of a page's size")
	errZstdBlock  = errors.New("block is of a reserved type")
	errZstdOutput = errors.New("expands to more than a page")
	errZstdShort  = errors.New("expands to less than a page")
	errZstdTrail  = errors.New("bytes after the end of the frame")
	errZstdSum    = errors.New("checksum does not match")
)

// The types of a block.
const (
	blockRaw        = 0
	blockSingle     = 1 // one byte repeated
	blockCompressed = 2
)

// decode expands src, which must be one frame that fills dst exactly.
func (d *zstdDecoder) decode(dst, src []byte) error {
	src, trailer, err := zstdHeader(src, len(dst))
	if err != nil {
		return err
	}
	d.huff.log = 0 // no table is older than the frame
	d.lit.now, d.off.now, d.match.now = nil, nil, nil
	d.recent = [3]uint32{1, 4, 8}
	op := 0
	for last := false; !last; {
		if len(src) < 3 {
			return errZstdInput
		}
		h := int(src[0]) | int(src[1])<<8 | int(src[2])<<16
		src = src[3:]
		last = h&1 != 0
		size := h >> 3
		kind := h >> 1 & 3
		coded := size // bytes in src
		if kind == blockSingle {
			coded = 1
		}
		if coded > len(src) {
			return errZstdInput
		}
		if kind != blockCompressed && size > len(dst)-op {
			return errZstdOutput
		}
		switch kind {
		case blockRaw:
			op += copy(dst[op:], src[:size])
		case blockSingle:
			fill(dst[op:op+size], src[0])
			op += size
		case blockCompressed:
			if op, err = d.block(dst, op, src[:size]); err != nil {
				return err
			}
		default:
			return errZstdBlock
		}
		src = src[coded:]
	}
	switch {
	case op != len(dst):
		return errZstdShort
	case len(src) < trailer:
		return errZstdInput
	case len(src) > trailer:
		return errZstdTrail
	case trailer > 0 && binary.LittleEndian.Uint32(src) != uint32(xxhash.Sum64(dst)):
		return errZstdSum
	}
	return nil
}

// zstdHeader reads the frame's header. It returns what is behind it, and the
// length of the checksum that ends the frame.
func zstdHeader(src []byte, want int) (rest []byte, trailer int, err error) {
	if len(src) < 5 {
		return nil, 0, errZstdInput
	}
	if load32(src, 0) != zstdMagic {
		return nil, 0, errZstdHeader // a skippable frame too: it holds no page
	}
	// Frame_Header_Descriptor, RFC 8878 section 3.1.1.1.1.
	const reserved, checksum, single = 1 << 3, 1 << 2, 1 << 5
	h := src[4]
	if h&reserved != 0 {
		return nil, 0, errZstdHeader
	}
	if h&checksum != 0 {
		trailer = 4
	}
	at := 5
	sizeLen := [4]int{0, 2, 4, 8}[h>>6]
	if h&single == 0 {
		at++ // the window: matches are held to the page instead
	} else if sizeLen == 0 {
		sizeLen = 1
	}
	dictLen := [4]int{0, 1, 2, 4}[h&3]
	if len(src) < at+dictLen+sizeLen {
		return nil, 0, errZstdInput
	}
	for _, b := range src[at : at+dictLen] {
		if b != 0 { // 0 is none
			return nil, 0, errZstdHeader
		}
	}
	at += dictLen
	size := uint64(0)
	for i, b := range src[at : at+sizeLen] {
		size |= uint64(b) << (8 * i)
	}
	if sizeLen == 2 {
		size += 256
	}
	if sizeLen > 0 && size != uint64(want) {
		return nil, 0, errZstdSize
	}
	return src[at+sizeLen:], trailer, nil
}

// block expands a compressed block to dst[op:] and returns where it ends.
func (d *zstdDecoder) block(dst []byte, op int, src []byte) (end int, err error) {
	lp, src, err := d.literals(dst, op, src)
	if err != nil {
		return 0, err
	}
	return d.sequences(dst, op, lp, src)
}

func fill(dst []byte, b byte) {
	for i := range dst {
		dst[i] = b
	}
}
