package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cavaliergopher/cpio"
)

// Reader reads an image's entries in their order.
type Reader struct {
	comp  Compression
	src   *meter
	cpio  *cpio.Reader
	done  func()
	files int
	end   int64 // of the last entry, padding included: here the next header begins
	err   error
}

// NewReader tells the compression by the first bytes and begins to unpack. Close
// the Reader after use.
func NewReader(r io.Reader) (*Reader, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(6)
	if err != nil {
		return nil, fmt.Errorf("archive: an image of %d bytes: %w", len(head), unexpected(err))
	}
	c, err := detect(head)
	if err != nil {
		return nil, err
	}
	plain, done, err := c.decompressor(br)
	if err != nil {
		return nil, err
	}
	m := &meter{r: plain}
	return &Reader{comp: c, src: m, cpio: cpio.NewReader(m), done: done}, nil
}

// Close frees what the decompressor holds.
func (r *Reader) Close() { r.done() }

// Compression tells how the image is packed.
func (r *Reader) Compression() Compression { return r.comp }

// Plain is how many bytes were unpacked so far.
func (r *Reader) Plain() int64 { return r.src.n }

// Next gives the next entry with its contents. The error is io.EOF after the last
// entry of an archive that is whole: its end is marked, and only zeros follow.
func (r *Reader) Next() (File, error) {
	if r.err != nil {
		return File{}, r.err
	}
	f, err := r.next()
	r.err = err
	return f, err
}

func (r *Reader) next() (File, error) {
	h, err := r.cpio.Next()
	if errors.Is(err, io.EOF) {
		return File{}, r.finish()
	}
	if err != nil {
		return File{}, fmt.Errorf("archive: entry %d, at byte %d: %w", r.files+1, r.src.n, unexpected(err))
	}
	if r.files++; r.files > MaxFiles {
		return File{}, fmt.Errorf("archive: more than %d entries", MaxFiles)
	}
	mode, err := modeOf(h)
	if err != nil {
		return File{}, err
	}
	if h.Size < 0 || h.Size > MaxSize || mode.IsDir() && h.Size > 0 {
		return File{}, fmt.Errorf("archive: %q has %d bytes", h.Name, h.Size)
	}
	data, err := io.ReadAll(io.LimitReader(r.cpio, h.Size))
	if err != nil {
		return File{}, fmt.Errorf("archive: %q: %w", h.Name, err)
	}
	if int64(len(data)) != h.Size {
		return File{}, fmt.Errorf("archive: %q is cut short, %d of %d bytes: %w", h.Name, len(data), h.Size, io.ErrUnexpectedEOF)
	}
	r.end = r.src.n + (4-h.Size%4)%4
	return File{Name: h.Name, Mode: mode, Data: data}, nil
}

// finish tells an archive's end from a file that was cut short: the library reports
// both as io.EOF.
func (r *Reader) finish() error {
	const header = 110 // bytes of a newc header, before the name and its NUL
	if r.src.n-r.end != header+int64(len(trailer))+1 || !bytes.Equal(r.src.tail[:], []byte(trailer+"\x00")) {
		return fmt.Errorf("archive: it ends after %d entries without the mark of its end: %w", r.files, io.ErrUnexpectedEOF)
	}
	buf := make([]byte, 4096)
	for {
		n, err := r.src.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return fmt.Errorf("archive: something follows its end, at about byte %d", r.src.n)
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return fmt.Errorf("archive: after its end: %w", err)
		}
	}
}

// modeOf keeps the kinds that images may hold apart; the library's own tests of the
// kind take a block device for a directory.
func modeOf(h *cpio.Header) (fs.FileMode, error) {
	perm := fs.FileMode(h.Mode) & fs.ModePerm
	switch kind := h.Mode & cpio.ModeType; kind {
	case cpio.TypeReg:
		return perm, nil
	case cpio.TypeDir:
		return perm | fs.ModeDir, nil
	case cpio.TypeSymlink:
		return perm | fs.ModeSymlink, nil
	case cpio.TypeChar:
		return perm | fs.ModeDevice | fs.ModeCharDevice, nil
	case cpio.TypeBlock:
		return perm | fs.ModeDevice, nil
	case cpio.TypeFifo:
		return perm | fs.ModeNamedPipe, nil
	case cpio.TypeSocket:
		return perm | fs.ModeSocket, nil
	default:
		return 0, fmt.Errorf("archive: %q has mode %#o, which is no kind of file", h.Name, uint32(h.Mode))
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// meter counts what was unpacked and ends it at MaxSize.
type meter struct {
	r    io.Reader
	n    int64
	tail [len(trailer) + 1]byte // the last bytes read
}

func (m *meter) Read(p []byte) (int, error) {
	if m.n >= MaxSize {
		return 0, fmt.Errorf("archive: more than %d bytes when unpacked", int64(MaxSize))
	}
	if left := MaxSize - m.n; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := m.r.Read(p)
	m.n += int64(n)
	all := append(m.tail[:], p[max(0, n-len(m.tail)):n]...)
	copy(m.tail[:], all[len(all)-len(m.tail):])
	return n, err
}
