package codec

import (
	"errors"
	"fmt"

	"github.com/golang/snappy"
)

// ErrCorrupt is wrapped by the error of a decoder for bytes that are not a
// whole page of the codec that the flags name.
var ErrCorrupt = errors.New("compressed page is corrupt")

// Decoder expands pages. One goroutine uses it at a time. What a codec needs is
// allocated when its first page comes; after that a page costs no allocation.
// The zero value is ready for use.
type Decoder struct {
	zlib zlibDecoder
	zstd zstdDecoder
}

// NewDecoder returns a decoder of all codecs.
func NewDecoder() *Decoder { return new(Decoder) }

// Decode expands src into dst, which it fills exactly; flags are those of the
// page descriptor, and without a compression flag src is the page itself. Any
// bytes are safe as src: what does not expand to exactly len(dst) bytes gives
// an error that wraps [ErrCorrupt]; dst then holds nothing of use.
func (d *Decoder) Decode(dst []byte, flags uint32, src []byte) error {
	var err error
	switch flags & FlagMask {
	case 0:
		if len(src) != len(dst) {
			return fmt.Errorf("raw page: %w: %d bytes, want %d", ErrCorrupt, len(src), len(dst))
		}
		copy(dst, src)
		return nil
	case FlagZlib:
		err = d.zlib.decode(dst, src)
	case FlagLZO:
		err = decodeLZO(dst, src)
	case FlagSnappy:
		err = decodeSnappy(dst, src)
	case FlagZstd:
		err = d.zstd.decode(dst, src)
	default:
		return fmt.Errorf("%w: flags %#x name more than one codec", ErrCorrupt, flags)
	}
	if err != nil {
		return fmt.Errorf("%v: %w: %v", flagID(flags), ErrCorrupt, err)
	}
	return nil
}

// Decode is [Decoder.Decode] of a new decoder: for one page. Where many pages
// are decoded, keep a [Decoder].
func Decode(dst []byte, flags uint32, src []byte) error {
	return NewDecoder().Decode(dst, flags, src)
}

func flagID(f uint32) ID {
	for i, g := range flags {
		if g == f&FlagMask {
			return ID(i)
		}
	}
	return None
}

func decodeSnappy(dst, src []byte) error {
	// The length is checked first: the decoder would allocate what it claims.
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return err
	}
	if n != len(dst) {
		return fmt.Errorf("expands to %d bytes, want %d", n, len(dst))
	}
	_, err = snappy.Decode(dst, src)
	return err
}
