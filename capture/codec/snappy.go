package codec

import "github.com/golang/snappy"

// snappyEncoder is the page size. The work is stateless.
type snappyEncoder int

func (e snappyEncoder) Encode(dst, page []byte) ([]byte, bool) {
	checkSizes(dst, page, int(e))
	out := snappy.Encode(dst[:cap(dst)], page)
	if len(out) >= len(page) {
		return nil, false
	}
	return out, true
}
