package vmcore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// ErrTruncated is wrapped by the error of [Open] for a core file that ends
// before its headers say, and by the error of a read, from a file opened with
// [Salvage], of a page that is lost for that reason.
var ErrTruncated = errors.New("core file is truncated")

// ErrHopeless is wrapped by the error of [Open] with [Salvage] for a core that
// lacks what finds its pages: headers and bitmaps, which come first.
var ErrHopeless = errors.New("too little is left of the core to salvage anything")

// Uname is the crashed kernel's struct new_utsname.
type Uname = kdumpfmt.Uname

// File is a core file that is open. Its methods may be called from several
// goroutines. When it also has a method Fd() uintptr, and is /proc/vmcore, it
// is mapped into memory.
type File interface {
	io.ReaderAt
	// Size is the length in bytes.
	Size() (int64, error)
}

// NewFile makes a File of the first size bytes of r.
func NewFile(r io.ReaderAt, size int64) File { return sizedFile{r, size} }

type sizedFile struct {
	io.ReaderAt
	size int64
}

func (f sizedFile) Size() (int64, error) { return f.size, nil }

// Option changes how a core is opened.
type Option func(*options)

type options struct {
	salvage bool
	mmap    bool // map the file even if it is not /proc/vmcore: for tests

	// Of a flattened file; see flatten.go.
	flat string
	real int64
	cut  written
}

// Salvage makes [Open] take a core file that is truncated. Pages that are lost
// give errors that wrap [ErrTruncated] as well as [ErrNoPage].
func Salvage() Option { return func(o *options) { o.salvage = true } }

func newOptions(opts []Option) *options {
	var o options
	for _, f := range opts {
		f(&o)
	}
	return &o
}

// Open tells the format of f by its first bytes and opens it. The errors wrap
// [ErrNotCore] for a file of another format, [ErrTruncated] for one that is cut
// short; others say what is wrong in the headers. The Source uses f until it
// is closed, and does not close f.
//
// A kdump-compressed file that lost pages but has all its descriptors opens
// without [Salvage]: one cannot tell before the pages are read.
func Open(f File, opts ...Option) (Source, error) {
	src, err := open(f, opts)
	if err != nil && errors.Is(err, ErrTruncated) && newOptions(opts).salvage {
		return nil, fmt.Errorf("%w: %w", ErrHopeless, err)
	}
	return src, err
}

func open(f File, opts []Option) (Source, error) {
	var magic [magicLen]byte
	n, err := f.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the first bytes of the core: %w", err)
	}
	switch format, hint := detect(magic[:n]); format {
	case "elf":
		return OpenELF(f, opts...)
	case "flat":
		return openFlat(f, opts)
	case "kdump":
		k, err := OpenKdump(f, opts...)
		if err != nil {
			return nil, err // not k: a nil Kdump would be a Source that is not nil
		}
		return k, nil
	default:
		return nil, fmt.Errorf("%w: %s", ErrNotCore, hint)
	}
}

// OpenPath opens the core file at path; closing the Source closes the file.
func OpenPath(path string, opts ...Option) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open core: %w", err)
	}
	if err := checkKind(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("open core %s: %w", path, err)
	}
	src, err := Open(osFile{f}, opts...)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open core %s: %w", path, err)
	}
	switch s := src.(type) {
	case *elfSource:
		s.close = f.Close
	case *kdumpSource:
		s.close = f.Close
	}
	return src, nil
}

// checkKind refuses files that cannot be read at any place.
func checkKind(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	switch m := fi.Mode(); {
	case m.IsDir():
		return errors.New("is a directory")
	case m&(fs.ModeNamedPipe|fs.ModeSocket) != 0:
		return errors.New("is a pipe, and a core is not read from start to end: save it to a file first")
	case m&fs.ModeCharDevice != 0:
		return errors.New("is a character device, not a file")
	}
	return nil
}

type osFile struct{ *os.File }

// Size asks by lseek(2): stat(2) says 0 for a block device.
func (f osFile) Size() (int64, error) {
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", f.Name(), err)
	}
	return n, nil
}
