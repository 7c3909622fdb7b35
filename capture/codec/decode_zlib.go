package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"

	"github.com/klauspost/compress/flate"
)

type zlibDecoder struct {
	src bytes.Reader
	r   io.ReadCloser // a flate reader on src; nil until the first page
	one [1]byte
}

var errZlibHeader = errors.New("zlib header is wrong")

func (d *zlibDecoder) decode(dst, src []byte) error {
	// RFC 1950: deflate, no dictionary, header divisible by 31; then adler32.
	if len(src) < 6 || src[0]&15 != 8 || src[1]&0x20 != 0 || binary.BigEndian.Uint16(src)%31 != 0 {
		return errZlibHeader
	}
	body, sum := src[2:len(src)-4], binary.BigEndian.Uint32(src[len(src)-4:])
	d.src.Reset(body)
	defer d.src.Reset(nil)
	if d.r == nil {
		d.r = flate.NewReader(&d.src)
	} else if err := d.r.(flate.Resetter).Reset(&d.src, nil); err != nil {
		return err
	}
	if _, err := io.ReadFull(d.r, dst); err != nil {
		return err
	}
	if n, err := d.r.Read(d.one[:]); n != 0 || err != io.EOF {
		return errors.New("stream is longer than a page, or has no end")
	}
	if d.src.Len() != 0 {
		return errors.New("bytes after the end of the stream")
	}
	if adler32.Checksum(dst) != sum {
		return errors.New("checksum does not match")
	}
	return nil
}
