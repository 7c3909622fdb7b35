package codec

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

type zstdDecoder struct{ dec *zstd.Decoder }

func (d *zstdDecoder) decode(dst, src []byte) error {
	if d.dec == nil {
		dec, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true), // never more than dst holds
			zstd.WithDecoderMaxWindow(8<<20)) // level 19 of other writers; costs nothing
		if err != nil {
			return err
		}
		d.dec = dec
	}
	out, err := d.dec.DecodeAll(src, dst[:0:len(dst)])
	if err != nil {
		return err
	}
	if len(out) != len(dst) {
		return fmt.Errorf("expands to %d bytes, want %d", len(out), len(dst))
	}
	if len(dst) > 0 && &out[0] != &dst[0] {
		copy(dst, out)
	}
	return nil
}
