package codec

import "github.com/klauspost/compress/s2"

// snappyEncoder is the page size. The work is stateless.
type snappyEncoder int

func (e snappyEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, int(e))
	out := s2.EncodeSnappy(dst[:cap(dst)], page)
	if len(out) >= len(page) {
		return nil, false
	}
	return out, true
}
