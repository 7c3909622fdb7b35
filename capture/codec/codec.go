// Package codec turns one page of memory into bytes of a kdump-compressed file
// and back: zlib, LZO1X, snappy, zstd, or nothing at all.
//
// Every page is a stream of its own, so that a reader can get at any page.
// The package owns the byte formats. It never knows where a page lies or goes,
// and never decides which codec to use. Encoders and decoders are in separate
// files and share no table but the few that RFC 8878 prints, so that a program
// which only encodes carries no decoder.
//
// Facts: RFC 1950 and 1951 (zlib), the kernel's Documentation/staging/lzo.rst
// (LZO1X), snappy's format_description.txt, RFC 8878 (zstd), and the flags of
// the page descriptor as crash(8) and libkdumpfile read them. There is no lz4
// here since no reader of dumps knows it.
package codec

import "fmt"

// ID names a codec. The zero value is [None].
type ID uint8

// The codecs. Which programs read what: zlib all of them; LZO and snappy all
// of today's crash and libkdumpfile, but not every makedumpfile; zstd crash
// from 8.0.0, libkdumpfile from 0.5.0, makedumpfile from 1.7.3.
const (
	None   ID = iota // pages are stored as they are
	Zlib             // deflate with zlib header and adler32
	LZO              // LZO1X
	Snappy           // raw snappy block
	Zstd             // one zstd frame with its content size
)

// The flags that a page descriptor carries for a compressed page: one of them,
// or none for a raw page (DUMP_DH_COMPRESSED_* in the tools' diskdump headers).
const (
	FlagZlib   = 0x1
	FlagLZO    = 0x2
	FlagSnappy = 0x4
	FlagZstd   = 0x20
)

// FlagMask has all flags that say how a page is compressed.
const FlagMask = FlagZlib | FlagLZO | FlagSnappy | FlagZstd

// The page sizes, in bytes, that encoders take: those of Linux on 64-bit
// machines. They are powers of two.
const (
	MinPageSize = 4 << 10
	MaxPageSize = 64 << 10
)

var names = [...]string{None: "none", Zlib: "zlib", LZO: "lzo", Snappy: "snappy", Zstd: "zstd"}
var flags = [...]uint32{None: 0, Zlib: FlagZlib, LZO: FlagLZO, Snappy: FlagSnappy, Zstd: FlagZstd}

// Parse gives the codec of a name as [ID.String] writes it. The error lists
// the names there are.
func Parse(name string) (ID, error) {
	for i, n := range names {
		if n == name {
			return ID(i), nil
		}
	}
	return None, fmt.Errorf("unknown codec %q: use one of zstd, zlib, lzo, snappy, none", name)
}

// String is the codec's name in lower case.
func (id ID) String() string {
	if int(id) >= len(names) {
		return fmt.Sprintf("codec %d", uint8(id))
	}
	return names[id]
}

// Flag is the page descriptor's flag for a page that this codec compressed; 0
// for [None] and for an unknown codec.
func (id ID) Flag() uint32 {
	if int(id) >= len(flags) {
		return 0
	}
	return flags[id]
}

// Encoder compresses pages of one size. One goroutine uses it at a time; it
// allocates nothing per page.
type Encoder interface {
	// Encode compresses page into dst and returns the result, which aliases
	// dst. What dst holds is overwritten; its capacity must be at least
	// MaxEncoded of the page size. ok is false, and out nil, when the result
	// would not be smaller than the page: such a page is to be stored raw.
	// The same page gives the same bytes each time. Encode panics when the
	// page has another size than the encoder was made for, or dst is too small.
	Encode(dst, page []byte) (out []byte, ok bool)
}

// MaxEncoded is the capacity in bytes that [Encoder.Encode] wants of dst. It
// is more than a page since encoders need room to find out that a page does
// not shrink.
func MaxEncoded(pageSize int) int { return pageSize + pageSize/6 + 256 }

// NewEncoder returns an encoder of pages of pageSize bytes, a power of two
// from [MinPageSize] to [MaxPageSize]. It takes up to 0.7 MiB of address space,
// depending on the codec; of that, pages of 4 KiB touch less than 0.2 MiB.
func NewEncoder(id ID, pageSize int) (Encoder, error) {
	if pageSize < MinPageSize || pageSize > MaxPageSize || pageSize&(pageSize-1) != 0 {
		return nil, fmt.Errorf("codec %v: page size %d is not a power of two from %d to %d",
			id, pageSize, MinPageSize, MaxPageSize)
	}
	switch id {
	case None:
		return noneEncoder{}, nil
	case Zlib:
		return newZlibEncoder(pageSize), nil
	case LZO:
		return newLZOEncoder(pageSize), nil
	case Snappy:
		return snappyEncoder(pageSize), nil
	case Zstd:
		return newZstdEncoder(pageSize), nil
	}
	return nil, fmt.Errorf("unknown %v", id)
}

type noneEncoder struct{}

func (noneEncoder) Encode(dst, page []byte) ([]byte, bool) { return nil, false }

// checkSizes panics when a caller breaks Encode's contract. An encoder could
// otherwise write half a page that looks whole.
func checkSizes(dst, page []byte, pageSize int) {
	if len(page) != pageSize || cap(dst) < MaxEncoded(pageSize) {
		panic(fmt.Sprintf("codec: page of %d bytes and buffer of %d for an encoder of pages of %d",
			len(page), cap(dst), pageSize))
	}
}
