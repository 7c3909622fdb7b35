package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"

	"github.com/klauspost/compress/flate"
)

// zlibHeader is CMF and FLG of RFC 1950: deflate, 32 KiB window, fastest level.
const zlibHeader = 0x7801

var errFull = errors.New("compressed page is not smaller")

// bounded collects bytes up to a limit.
type bounded struct {
	buf   []byte
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.buf)+len(p) > b.limit {
		return 0, errFull
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}

type zlibEncoder struct {
	w        *flate.Writer
	out      bounded
	pageSize int
}

func newZlibEncoder(pageSize int) (*zlibEncoder, error) {
	e := &zlibEncoder{pageSize: pageSize}
	w, err := flate.NewWriter(&e.out, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("zlib encoder: %w", err)
	}
	e.w = w
	return e, nil
}

func (e *zlibEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, e.pageSize)
	// 4 bytes of checksum follow, and the whole must be smaller than the page.
	e.out.buf, e.out.limit = binary.BigEndian.AppendUint16(dst[:0], zlibHeader), e.pageSize-5
	e.w.Reset(&e.out)
	_, err := e.w.Write(page)
	if err == nil {
		err = e.w.Close()
	}
	out := e.out.buf
	e.out.buf = nil
	if err != nil {
		return nil, false
	}
	return binary.BigEndian.AppendUint32(out, adler32.Checksum(page)), true
}
