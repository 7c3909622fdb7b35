package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gokdump/gokdump/capture/vmcore/flat"
)

// Unflattened is what [Unflatten] did.
type Unflattened struct {
	Records uint64 // that were put in their place, whole
	Bytes   int64  // read from the stream
	Size    int64  // of the file, in bytes
}

// ErrFlat is wrapped by the error of [Unflatten] for a stream that is not
// flattened, or has a record that cannot be.
var ErrFlat = errors.New("not a flattened dump")

// Unflatten reads a flattened dump from r and writes the file that it stands for
// to out, which it empties first. It reads each byte once and keeps one buffer;
// blocks of zeros become holes. The error wraps io.ErrUnexpectedEOF for a stream
// that ends before its last record; what came before that is then in out, and
// the result, never nil, tells how much.
func Unflatten(r io.Reader, out Output) (*Unflattened, error) {
	u := &unflattener{r: r, out: out, buf: make([]byte, 1<<20), zero: make([]byte, holeBlock)}
	err := u.run()
	if terr := out.Truncate(u.res.Size); err == nil && terr != nil {
		err = fmt.Errorf("unflatten: set the size: %w", terr)
	}
	return &u.res, err
}

type unflattener struct {
	r    io.Reader
	out  Output
	buf  []byte
	zero []byte // one block
	res  Unflattened
}

func (u *unflattener) run() error {
	if err := u.out.Truncate(0); err != nil {
		return fmt.Errorf("unflatten: empty the file: %w", err)
	}
	b := u.buf[:flat.HeaderSize]
	err := u.read(b)
	if have := b[:min(u.res.Bytes, int64(len(flat.Magic)))]; len(have) > 0 && !strings.HasPrefix(flat.Magic, string(have)) {
		return fmt.Errorf("unflatten: %w: it begins with %q", ErrFlat, have)
	}
	if err != nil {
		return fmt.Errorf("unflatten: start block: %w", err)
	}
	typ, version := binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])
	if typ != flat.Type || version < 1 {
		return fmt.Errorf("unflatten: %w: type %d, version %d", ErrFlat, int64(typ), int64(version))
	}
	for {
		at := u.res.Bytes
		var head [flat.RecordSize]byte
		if err := u.read(head[:]); err != nil {
			return fmt.Errorf("unflatten: record %d at %d: %w", u.res.Records, at, err)
		}
		off, size := int64(binary.BigEndian.Uint64(head[:])), int64(binary.BigEndian.Uint64(head[8:]))
		if off == flat.EndMark && size == flat.EndMark {
			return nil
		}
		if off < 0 || size <= 0 || off > flat.MaxOffset || size > flat.MaxOffset {
			return fmt.Errorf("unflatten: record %d at %d: %w: %d bytes for offset %d", u.res.Records, at, ErrFlat, size, off)
		}
		if err := u.record(off, size); err != nil {
			return fmt.Errorf("unflatten: record %d at %d, %d bytes for offset %d: %w", u.res.Records, at, size, off, err)
		}
		u.res.Records++
	}
}

// record puts one record into its place.
func (u *unflattener) record(off, size int64) error {
	for size > 0 {
		// buffers end at multiples of a block, so that blocks of zeros are seen
		n := min(size, int64(len(u.buf))-off%holeBlock)
		p := u.buf[:n]
		got, err := io.ReadFull(u.r, p)
		u.res.Bytes += int64(got)
		if werr := u.write(p[:got], off); werr != nil {
			return werr
		}
		if err != nil {
			return shortStream(err)
		}
		off, size = off+n, size-n
	}
	return nil
}

// holeBlock is the unit of holes, in bytes: the block of nearly all file systems.
const holeBlock = 4096

// write writes p, but for blocks of zeros that lie where nothing was written
// before.
func (u *unflattener) write(p []byte, off int64) error {
	for len(p) > 0 {
		n := u.zeros(p, off)
		if n == 0 {
			for n < len(p) && (n == 0 || u.zeros(p[n:], off+int64(n)) == 0) {
				n += int(min(int64(len(p)-n), holeBlock-(off+int64(n))%holeBlock))
			}
			if _, err := u.out.WriteAt(p[:n], off); err != nil {
				return err
			}
		}
		p, off = p[n:], off+int64(n)
		u.res.Size = max(u.res.Size, off)
	}
	return nil
}

// zeros is how many bytes p has of whole blocks of zeros beyond the end of what
// was written.
func (u *unflattener) zeros(p []byte, off int64) int {
	if off%holeBlock != 0 || off < u.res.Size {
		return 0
	}
	n := 0
	for len(p)-n >= holeBlock && bytes.Equal(p[n:n+holeBlock], u.zero) {
		n += holeBlock
	}
	return n
}

func (u *unflattener) read(p []byte) error {
	n, err := io.ReadFull(u.r, p)
	u.res.Bytes += int64(n)
	return shortStream(err)
}

// shortStream is the error of a stream that ended where something must follow.
func shortStream(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
