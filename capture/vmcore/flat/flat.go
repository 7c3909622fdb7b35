// Package flat reads the flattened format, in which makedumpfile -F and QEMU put
// a dump through a pipe: as a list of what would be written where.
//
//	block of 4096 bytes   "makedumpfile", padded to 16 bytes; type 1; version 1
//	records               offset, size, then that many bytes
//	end mark              offset -1, size -1
//
// Numbers are 64-bit, signed and big-endian. A later record overwrites an
// earlier one; what no record writes is zeros.
//
// The package owns the format and makes the file that it describes readable in
// place. It never knows what that file is, and never writes. Facts: the format as
// makedumpfile(8) and QEMU 7.2 write it and crash(8) reads it.
package flat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Magic opens every flattened file.
const Magic = "makedumpfile\x00\x00\x00\x00"

// Sizes in bytes.
const (
	HeaderSize = 4096 // what comes before the first record
	RecordSize = 16   // offset and size of a record
)

// Type and Version are the numbers behind [Magic].
const (
	Type    = 1
	Version = 1
)

// EndMark is offset and size of the last record.
const EndMark = -1

// MaxOffset bounds where a record may write, in bytes.
const MaxOffset = 1 << 60

// maxRuns bounds the table of what lies where. A run takes 32 bytes and stands
// for one record, or for many of the same size that follow each other. So the
// table takes at most 256 MiB, and twice that again while records that overwrite
// each other are sorted out. Records of compressed pages all differ in size:
// makedumpfile's have up to 64 KiB, QEMU's up to 16 KiB. So the table of a file
// of 32 GiB takes 32 and 64 MiB, and the bound is reached at 128 GiB or more.
const maxRuns = 1 << 23

// ErrFormat is wrapped by the error of [Open] for a file that is damaged or not
// flattened.
var ErrFormat = errors.New("damaged flattened file")

// ErrTruncated is wrapped by the error of [Open] for a file without an end mark.
var ErrTruncated = errors.New("flattened file ends early")

// File is the file that a flattened file describes. Its methods may be called
// from several goroutines.
type File struct {
	r       io.ReaderAt
	real    int64
	runs    []run
	size    int64
	records uint64
	broken  error // why the list ended early; nil when it did not
}

// Open indexes the flattened file r of size bytes. It reads the headers of the
// records, each once and in order, and no data. With salvage, a file that ends
// early or is damaged is taken up to there; see [File.Broken].
func Open(r io.ReaderAt, size int64, salvage bool) (*File, error) {
	if err := checkHeader(r, size); err != nil {
		return nil, err
	}
	f := &File{r: r, real: size}
	err := f.index()
	switch {
	case err == nil:
	case salvage && (errors.Is(err, ErrTruncated) || errors.Is(err, ErrFormat)):
		f.broken = err
	default:
		return nil, err
	}
	f.runs = resolve(f.runs)
	if len(f.runs) == 0 {
		return nil, fmt.Errorf("%w: %d bytes, and not one record", ErrTruncated, size)
	}
	f.size = f.runs[len(f.runs)-1].end
	return f, nil
}

func checkHeader(r io.ReaderAt, size int64) error {
	var b [32]byte
	n, err := r.ReadAt(b[:min(size, int64(len(b)))], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the header of the flattened file: %w", err)
	}
	typ, version := binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])
	switch {
	case !bytes.HasPrefix(b[:n], []byte(Magic)):
		return fmt.Errorf("%w: no signature", ErrFormat)
	case size < HeaderSize:
		return fmt.Errorf("%w: %d bytes, and its header takes %d", ErrTruncated, size, HeaderSize)
	case typ != Type || version != Version:
		return fmt.Errorf("%w: type %d, version %d, want %d and %d", ErrFormat, typ, version, Type, Version)
	}
	return nil
}

// index reads all records into f.runs, in the order of the file.
func (f *File) index() error {
	var h [RecordSize]byte
	for at := int64(HeaderSize); ; {
		if f.real-at < RecordSize {
			return fmt.Errorf("%w: it ends at %d, after %d records, without an end mark", ErrTruncated, f.real, f.records)
		}
		if n, err := f.r.ReadAt(h[:], at); n < len(h) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read record %d of the flattened file at %d: %w", f.records, at, err)
		}
		off, size := int64(binary.BigEndian.Uint64(h[:])), int64(binary.BigEndian.Uint64(h[8:]))
		if off == EndMark && size == EndMark {
			return nil
		}
		if off < 0 || size < 0 || off > MaxOffset || size > MaxOffset-off {
			return fmt.Errorf("%w: record %d at %d writes %d bytes at %d", ErrFormat, f.records, at, size, off)
		}
		at += RecordSize
		have := min(size, f.real-at)
		if err := f.add(off, have, at); err != nil {
			return err
		}
		if have < size {
			return fmt.Errorf("%w: record %d at %d has %d of its %d bytes", ErrTruncated, f.records, at-RecordSize, have, size)
		}
		f.records++
		at += size
	}
}

// add notes that size bytes for offset off lie at file offset at.
func (f *File) add(off, size, at int64) error {
	if size == 0 {
		return nil
	}
	if n := len(f.runs); n > 0 && f.runs[n-1].extend(off, size, at) {
		return nil
	}
	if len(f.runs) == maxRuns {
		return fmt.Errorf("flattened file in more than %d pieces, at %d: rearrange it first with `makedumpfile -R OUT <FILE`", maxRuns, at)
	}
	r := run{start: off, end: off + size, at: at}
	if size <= math.MaxUint32 {
		r.unit = uint32(size)
	}
	f.runs = append(f.runs, r)
	return nil
}

// Size is the length of the file described, in bytes: the end of what is written
// furthest behind.
func (f *File) Size() (int64, error) { return f.size, nil }

// Length is Size, which cannot fail.
func (f *File) Length() int64 { return f.size }

// RealSize is the length of the flattened file itself, in bytes.
func (f *File) RealSize() int64 { return f.real }

// Records is the number of whole records.
func (f *File) Records() uint64 { return f.records }

// Broken says why the list of records ends early, wrapping [ErrTruncated] or
// [ErrFormat]; nil when it does not.
func (f *File) Broken() error { return f.broken }
