package raw

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// header is what lies at a device's start.
type header struct {
	super
	*table
	blank bool // no superblock, and zeros at both ends
}

// readHeader tells what a device of size bytes holds. A blank one gets a geometry.
func readHeader(r io.ReaderAt, size int64, now time.Time) (header, error) {
	var h header
	if size < minSize {
		_, err := newSuper(size, now)
		return h, err
	}
	b := make([]byte, edge)
	if _, err := r.ReadAt(b, 0); err != nil {
		return h, fmt.Errorf("read the start: %w", err)
	}
	s, ours, err := parseSuper(b, size)
	if err != nil {
		return h, err
	}
	rest := b
	if ours {
		rest = b[superSize:tableA] // a later superblock of something else would lie here
	}
	if !zeros(rest) {
		return h, fmt.Errorf("%w at its start", ErrForeign)
	}
	if _, err := r.ReadAt(b, size-edge); err != nil {
		return h, fmt.Errorf("read the end: %w", err)
	}
	if !zeros(b) {
		return h, fmt.Errorf("%w at its end", ErrForeign)
	}
	if !ours {
		h.super, err = newSuper(size, now)
		h.table, h.blank = &table{Recovered: true}, true
		return h, err
	}
	h.super = s
	h.table, err = readTables(r, s)
	return h, err
}

func zeros(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

// openDevice opens a device, or for tests a file, and tells its size. Opened for
// writing, a device that is mounted or part of another one is refused (EBUSY).
func openDevice(path string, write bool) (*os.File, int64, error) {
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
		if st, err := os.Stat(path); err == nil && st.Mode()&os.ModeDevice != 0 {
			flags |= unix.O_EXCL
		}
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%w (it is mounted, or part of an array or a volume group)", err)
		}
		return nil, 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

// State is what a device is to us.
type State struct {
	// Blank says that nothing was ever written to it.
	Blank bool
	// Waiting is the number of directories of dumps that were not copied off.
	Waiting int
	// Free and Size are bytes: what a dump can take now, and the whole device.
	Free, Size uint64
}

// Check tells whether the device at path can take dumps, and changes nothing. The
// error wraps [ErrForeign] when it holds something else.
func Check(path string) (State, error) {
	f, size, err := openDevice(path, false)
	if err != nil {
		return State{}, fmt.Errorf("raw device: %w", err)
	}
	defer f.Close()
	h, err := readHeader(f, size, time.Now())
	if err != nil {
		return State{}, fmt.Errorf("raw device %s: %w", path, err)
	}
	st := State{Blank: h.blank, Size: uint64(size)}
	used := int64(0)
	if !h.Recovered {
		st.Waiting = len(h.Dirs)
		for _, f := range h.Files {
			for _, e := range f.Extents {
				used += e[1]
			}
		}
	}
	st.Free = uint64((h.chunks() - used) * h.chunk)
	return st, nil
}
