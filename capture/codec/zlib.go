package codec

import "encoding/binary"

// zlibEncoder writes a page as RFC 1950 has it: two bytes of header, one block of
// deflate, the checksum.
type zlibEncoder struct {
	z        deflater
	pageSize int
}

// zlibHeader is CMF and FLG of RFC 1950: deflate, 32 KiB window, fastest level.
const zlibHeader = 0x7801

func newZlibEncoder(pageSize int) *zlibEncoder {
	e := &zlibEncoder{pageSize: pageSize}
	e.z.m.farthest = deflateFar
	return e
}

func (e *zlibEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, e.pageSize)
	const around = 2 + 4 // header and checksum
	block := e.z.deflate(page, len(page)-around-1)
	if block == nil {
		return nil, false
	}
	dst = binary.BigEndian.AppendUint16(dst[:0], zlibHeader)
	dst = append(dst, block...)
	return binary.BigEndian.AppendUint32(dst, adler(page)), true
}
