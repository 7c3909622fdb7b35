package raw

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture/target"
)

// Reader shows what is on a device.
type Reader struct {
	f *os.File
	h header
}

// File is a file on a device.
type File struct {
	// Name is a path of one or two elements; that of an unfinished file ends in
	// [target.Incomplete].
	Name string
	// Complete says that the file was committed.
	Complete bool
	// Size is in bytes.
	Size int64
	// Time is when it was committed, or last known of.
	Time time.Time

	e entry
	r *Reader
}

// NewReader opens the device at path. The error wraps [ErrNone] when nothing was ever
// written to it, and [ErrForeign] when it holds something else.
func NewReader(path string) (*Reader, error) {
	f, size, err := openDevice(path, false)
	if err != nil {
		return nil, fmt.Errorf("raw device: %w", err)
	}
	r := &Reader{f: f}
	r.h, err = readHeader(f, size, time.Now())
	if err == nil && r.h.blank {
		err = ErrNone
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("raw device %s: %w", path, err)
	}
	return r, nil
}

// Recovered says that all that is here was copied off before.
func (r *Reader) Recovered() bool { return r.h.Recovered }

// Dirs are the directories, in the order in which they were made.
func (r *Reader) Dirs() []string {
	var out []string
	for _, d := range r.h.Dirs {
		out = append(out, d.Name)
	}
	return out
}

// Files are the files, in the order in which they were made.
func (r *Reader) Files() []File {
	var out []File
	for _, e := range r.h.Files {
		f := File{Name: e.Name, Complete: e.Complete, Size: e.Size, Time: time.Unix(e.Time, 0), e: e, r: r}
		if !e.Complete {
			f.Name += target.Incomplete
		}
		out = append(out, f)
	}
	return out
}

// Close closes the device.
func (r *Reader) Close() error { return r.f.Close() }

// ErrSum is returned by [File.WriteTo] for a file that is not what was written.
var ErrSum = errors.New("the checksum is wrong: the device does not hold what was written to it")

// WriteTo copies the file to w, and checks its checksum when it has one.
func (f File) WriteTo(w io.Writer) (int64, error) {
	sum := crc32.New(castagnoli)
	out := io.MultiWriter(w, sum)
	var done int64
	for _, e := range f.e.Extents {
		n := min(e[1]*f.r.h.chunk, f.Size-done)
		m, err := io.Copy(out, io.NewSectionReader(f.r.f, dataStart+e[0]*f.r.h.chunk, n))
		done += m
		if err == nil && m < n {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return done, err
		}
	}
	if f.e.Sum != nil && *f.e.Sum != sum.Sum32() {
		return done, ErrSum
	}
	return done, nil
}
