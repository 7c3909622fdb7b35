package codec

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

type zstdEncoder struct {
	enc      *zstd.Encoder
	pageSize int
}

func newZstdEncoder(pageSize int) (*zstdEncoder, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		// The defaults would take one encoder for each CPU and a window of MiBs.
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(pageSize),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false),   // makedumpfile writes none; readers need none
		zstd.WithSingleSegment(true)) // the frame tells its content size
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return &zstdEncoder{enc, pageSize}, nil
}

func (e *zstdEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, e.pageSize)
	out := e.enc.EncodeAll(page, dst[:0])
	if len(out) >= len(page) {
		return nil, false
	}
	return out, true
}
