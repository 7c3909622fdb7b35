package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	readxz "github.com/therootcompany/xz"
	writexz "github.com/ulikunitz/xz"
)

// Compression is how an image is packed.
type Compression string

// The compressions that images are written in.
const (
	Zstd Compression = "zstd"
	LZ4  Compression = "lz4"
	Gzip Compression = "gzip"
	XZ   Compression = "xz"
	None Compression = "none"
)

// Compressions lists them, in the order of preference.
func Compressions() []Compression { return []Compression{Zstd, Gzip, XZ, LZ4, None} }

// ParseCompression finds a compression by its name.
func ParseCompression(name string) (Compression, error) {
	if c := Compression(name); slices.Contains(Compressions(), c) {
		return c, nil
	}
	var known []string
	for _, c := range Compressions() {
		known = append(known, string(c))
	}
	return "", fmt.Errorf("archive: compression %q is none of %s", name, strings.Join(known, ", "))
}

// KernelOption is the kernel's configuration option without which it cannot
// unpack c; empty for None (init/Kconfig, usr/Kconfig).
func (c Compression) KernelOption() string {
	if c == None {
		return ""
	}
	return "CONFIG_RD_" + strings.ToUpper(string(c))
}

// window is how much memory the kernel must find for zstd's history while it
// unpacks. The library's own default is 8 MiB; with an image of some 4 MiB that
// would win less than one part in a thousand.
const window = 1 << 20

// compressor packs into w. Each gives the same bytes for the same input.
func (c Compression) compressor(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case Zstd:
		// The best level is 5 % smaller than the one below and takes a fifth of a
		// second more; an image takes of the memory reserved as long as it is
		// loaded.
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
			zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	case Gzip:
		return gzip.NewWriterLevel(w, gzip.BestCompression)
	case XZ:
		// The kernel refuses the library's default check, CRC64.
		return writexz.WriterConfig{CheckSum: writexz.CRC32, DictCap: 1 << 20}.NewWriter(w)
	case LZ4:
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.LegacyOption(true), lz4.CompressionLevelOption(lz4.Level9), lz4.ConcurrencyOption(1))
	case None:
		return nopCloser{w}, nil
	}
	return nil, fmt.Errorf("archive: compression %q is not known", c)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// detect tells the compression by the first bytes.
func detect(head []byte) (Compression, error) {
	for c, magic := range map[Compression]string{
		Zstd: "\x28\xb5\x2f\xfd", Gzip: "\x1f\x8b", XZ: "\xfd7zXZ\x00", LZ4: "\x02\x21\x4c\x18", None: "070701",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return c, nil
		}
	}
	if bytes.HasPrefix(head, []byte("\x04\x22\x4d\x18")) {
		return "", errors.New("archive: lz4 in a modern frame, which no kernel unpacks; it takes the legacy frame")
	}
	return "", fmt.Errorf("archive: not an initramfs image: it starts with % x", head)
}

// decompressor unpacks from r, with bounded memory. Close it with done.
func (c Compression) decompressor(r io.Reader) (plain io.Reader, done func(), err error) {
	done = func() {}
	switch c {
	case Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MaxSize), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, done, fmt.Errorf("archive: zstd: %w", err)
		}
		return z, z.Close, nil
	case Gzip:
		plain, err = gzip.NewReader(r)
	case XZ:
		plain, err = readxz.NewReader(r, readxz.DefaultDictMax)
	case LZ4:
		plain = lz4.NewReader(r)
	case None:
		plain = r
	default:
		err = fmt.Errorf("compression %q is not known", c)
	}
	if err != nil {
		return nil, done, fmt.Errorf("archive: %s: %w", c, err)
	}
	return plain, done, nil
}
