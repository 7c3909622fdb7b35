// Package raw is a target that is a block device without a file system: a partition
// that holds dumps until the next system copies them into files.
//
// It owns the device's layout. It never overwrites what it cannot prove to be its own
// or blank: a device is taken only if its first and last MiB are zeros, or hold what
// this package wrote. A dump on it that was not copied off yet is never overwritten
// either: a further one goes behind it while there is room.
//
// The layout, all numbers little endian:
//
//	0            superblock, 4 KiB: magic, version, geometry, checksum. Never rewritten.
//	64 KiB       table A, 512 KiB
//	576 KiB      table B, 512 KiB
//	2 MiB        chunks of equal size, which the files consist of
//	end - 1 MiB  nothing, all zeros
//
// A table is a header (magic, sequence number, length, checksum) and a JSON document
// that names the files, their state, size, checksum and extents. The two are written
// in turns, each after the data it speaks of is on the disk, so that a power cut leaves
// the one before; the one with the higher number and a right checksum counts. A file is
// complete only when a table says so.
package raw

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"
)

// Sizes and places, in bytes.
const (
	superSize = 4 << 10
	tableA    = 64 << 10
	tableSize = 512 << 10
	tableHead = 32
	dataStart = 2 << 20
	edge      = 1 << 20 // what must be blank at both ends
	minSize   = dataStart + 4*minChunk + edge

	minChunk  = 256 << 10
	maxChunks = 1 << 20
)

const (
	superMagic = "gokdump raw dump device\n"
	tableMagic = "gokdump table 1\n"
	version    = 1
)

// Errors of a device that is not taken. The texts name the next step.
var (
	// ErrForeign is wrapped when a device holds something that is not ours.
	ErrForeign = errors.New("the device holds something else")
	// ErrNone is wrapped when a device is blank: no dump was ever written to it.
	ErrNone = errors.New("the device holds no dumps")
	// ErrDamaged is wrapped when the device is ours and no table on it is whole.
	ErrDamaged = errors.New("the tables of the dump device are damaged")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// super is the superblock.
type super struct {
	size  int64 // of the device
	chunk int64
	id    [16]byte // made from the time of formatting; for people
}

func (s super) chunks() int64 { return (s.size - dataStart - edge) / s.chunk }

// newSuper chooses a geometry.
func newSuper(size int64, now time.Time) (super, error) {
	if size < minSize {
		return super{}, fmt.Errorf("a device of %d bytes is too small: at least %d are needed", size, minSize)
	}
	s := super{size: size, chunk: minChunk}
	for s.chunks() > maxChunks {
		s.chunk *= 2
	}
	binary.LittleEndian.PutUint64(s.id[:], uint64(now.UnixNano()))
	return s, nil
}

// marshal gives the superblock's bytes: magic at 0, version 32, size 40, chunk 48, id
// 56, CRC-32C of all before it in the last four.
func (s super) marshal() []byte {
	b := make([]byte, superSize)
	copy(b, superMagic)
	le := binary.LittleEndian
	le.PutUint32(b[32:], version)
	le.PutUint64(b[40:], uint64(s.size))
	le.PutUint64(b[48:], uint64(s.chunk))
	copy(b[56:], s.id[:])
	le.PutUint32(b[superSize-4:], crc32.Checksum(b[:superSize-4], castagnoli))
	return b
}

// parseSuper reads a superblock; ok is false when the magic is not there.
func parseSuper(b []byte, size int64) (s super, ok bool, err error) {
	if len(b) < superSize || !bytes.HasPrefix(b, []byte(superMagic)) {
		return s, false, nil
	}
	b = b[:superSize]
	le := binary.LittleEndian
	if le.Uint32(b[superSize-4:]) != crc32.Checksum(b[:superSize-4], castagnoli) {
		return s, true, fmt.Errorf("%w: the superblock's checksum is wrong", ErrDamaged)
	}
	if v := le.Uint32(b[32:]); v != version {
		return s, true, fmt.Errorf("the device's layout is version %d, and only %d is known", v, version)
	}
	s.size, s.chunk = int64(le.Uint64(b[40:])), int64(le.Uint64(b[48:]))
	copy(s.id[:], b[56:])
	if s.chunk < minChunk || s.chunk&(s.chunk-1) != 0 || s.size < minSize || s.chunks() > maxChunks {
		return s, true, fmt.Errorf("%w: %d bytes in chunks of %d", ErrDamaged, s.size, s.chunk)
	}
	if s.size > size {
		return s, true, fmt.Errorf("%w: it was written for a device of %d bytes, and this has %d", ErrDamaged, s.size, size)
	}
	return s, true, nil
}

// table is what is on the device.
type table struct {
	// Recovered says that all files were copied off: the device can be used anew.
	Recovered bool    `json:"recovered,omitempty"`
	Dirs      []entry `json:"dirs,omitempty"`
	Files     []entry `json:"files,omitempty"`

	seq uint64
}

// entry is a directory or a file.
type entry struct {
	// Name is a path of one or two elements, without [target.Incomplete].
	Name string `json:"name"`
	// Complete says that the file was committed.
	Complete bool `json:"complete,omitempty"`
	// Time is when the entry was made or committed, in seconds since 1970.
	Time int64 `json:"time"`
	// Size is in bytes.
	Size int64 `json:"size,omitempty"`
	// Sum is the CRC-32C of a complete file of at most sumMax bytes.
	Sum *uint32 `json:"crc32c,omitempty"`
	// Extents are pairs of a first chunk and a number of chunks, in the file's order.
	Extents [][2]int64 `json:"extents,omitempty"`
}

// sumMax bounds the files that carry a checksum, in bytes: reading a large one back
// would keep the machine from its reboot. A dump has a structure that shows whether it
// is whole, and every page in it says its size.
const sumMax = 64 << 20

// marshal gives a table's bytes: magic at 0, sequence number 16, length 24, CRC-32C of
// number, length and document 28, document 32.
func (t *table) marshal() ([]byte, error) {
	doc, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	if len(doc) > tableSize-tableHead {
		return nil, fmt.Errorf("the table of the files has %d bytes, more than %d", len(doc), tableSize-tableHead)
	}
	b := make([]byte, tableHead+len(doc))
	copy(b, tableMagic)
	le := binary.LittleEndian
	le.PutUint64(b[16:], t.seq)
	le.PutUint32(b[24:], uint32(len(doc)))
	copy(b[tableHead:], doc)
	le.PutUint32(b[28:], tableSum(b))
	return b, nil
}

func tableSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[16:28], castagnoli), castagnoli, b[tableHead:])
}

// parseTable reads a table and checks it against the geometry.
func parseTable(b []byte, s super) (*table, error) {
	le := binary.LittleEndian
	if len(b) < tableHead || string(b[:16]) != tableMagic {
		return nil, errors.New("no table")
	}
	n := int64(le.Uint32(b[24:]))
	if n > int64(len(b)-tableHead) {
		return nil, fmt.Errorf("a table of %d bytes", n)
	}
	b = b[:tableHead+n]
	if tableSum(b) != le.Uint32(b[28:]) {
		return nil, errors.New("the table's checksum is wrong")
	}
	t := &table{seq: le.Uint64(b[16:])}
	if err := json.Unmarshal(b[tableHead:], t); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return t, t.check(s)
}

// check refuses extents that lie outside or on each other.
func (t *table) check(s super) error {
	var used [][2]int64
	for _, f := range t.Files {
		var room int64
		for _, e := range f.Extents {
			if e[0] < 0 || e[1] <= 0 || e[0] > s.chunks()-e[1] {
				return fmt.Errorf("table: %q has %d chunks from %d of %d", f.Name, e[1], e[0], s.chunks())
			}
			used, room = append(used, e), room+e[1]*s.chunk
		}
		if f.Size < 0 || f.Size > room {
			return fmt.Errorf("table: %q has %d bytes in %d", f.Name, f.Size, room)
		}
	}
	slices.SortFunc(used, func(a, b [2]int64) int { return int(a[0] - b[0]) })
	for i := 1; i < len(used); i++ {
		if used[i-1][0]+used[i-1][1] > used[i][0] {
			return fmt.Errorf("table: chunk %d belongs to two files", used[i][0])
		}
	}
	return nil
}

// readTables gives the newest whole table.
func readTables(r io.ReaderAt, s super) (*table, error) {
	var best *table
	var errs []error
	b := make([]byte, tableSize)
	for i := range int64(2) {
		n, err := r.ReadAt(b, tableA+i*tableSize)
		if n < len(b) && err != nil {
			errs = append(errs, err)
			continue
		}
		t, err := parseTable(b, s)
		if err != nil {
			errs = append(errs, err)
		} else if best == nil || t.seq > best.seq {
			best = t
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, errors.Join(errs...))
	}
	return best, nil
}
