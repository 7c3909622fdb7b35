// Package lvm2 reads what an LVM physical volume says of its volume group, and
// tells which parts of which volumes a linear logical volume is made of.
//
// It owns the label, the metadata area's header and the text in it. It never
// writes, never looks for devices and never makes one: that is the business of
// initramfs/assemble. The metadata is read in the crash kernel rather than baked into
// a plan: a volume may have been moved or resized since the machine was armed.
//
// Facts: lvm(8), vgcfgbackup(8) and the metadata that the tools write; the on-disk
// layout as LVM2's format_text documents it (label sector with "LABELONE", a header
// with the physical volume's id and its areas, mda headers with a CRC).
package lvm2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The layout, in bytes.
const (
	sector     = 512
	mdaHeader  = 512
	mdaMagic   = " LVM2 x[5A%r0N*>"
	maxText    = 2 << 20 // a real one has some KiB
	maxAreas   = 64
	crcInitial = 0xf597a6cf
)

// ErrNoMetadata is wrapped by the error for a physical volume that holds no
// metadata; another one of its group does then.
var ErrNoMetadata = errors.New("the physical volume holds no metadata")

// Volume is one physical volume as its own label has it.
type Volume struct {
	// ID is the physical volume's, 32 characters without dashes.
	ID string
	// Text is the newest metadata of the group that this volume holds.
	Text []byte
}

// ReadVolume reads the label of the physical volume r, and the metadata.
func ReadVolume(r io.ReaderAt) (*Volume, error) {
	head := make([]byte, 4*sector)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("lvm: read the label: %w", err)
	}
	for off := 0; off < len(head); off += sector {
		l := head[off : off+sector]
		if string(l[:8]) != "LABELONE" || string(l[24:32]) != "LVM2 001" {
			continue
		}
		if want := binary.LittleEndian.Uint32(l[16:]); checksum(l[20:]) != want {
			return nil, errors.New("lvm: the label's checksum is wrong")
		}
		at := binary.LittleEndian.Uint32(l[20:])
		if at < 32 || at > sector-40 {
			return nil, fmt.Errorf("lvm: the label's header is at byte %d, where it cannot be", at)
		}
		return readHeader(r, l[at:])
	}
	return nil, errors.New("lvm: no label")
}

// readHeader reads pv_header: id, size, data areas, metadata areas; both lists of
// offset and size end with zeros.
func readHeader(r io.ReaderAt, h []byte) (*Volume, error) {
	v := &Volume{ID: string(h[:32])}
	areas := h[40:]
	next := func() (off, size uint64, ok bool) {
		if len(areas) < 16 {
			return 0, 0, false
		}
		off, size = binary.LittleEndian.Uint64(areas), binary.LittleEndian.Uint64(areas[8:])
		areas = areas[16:]
		return off, size, off != 0
	}
	for { // data areas: pe_start in the metadata says the same
		if _, _, ok := next(); !ok {
			break
		}
	}
	var errs []error
	var best uint64
	for range maxAreas {
		off, size, ok := next()
		if !ok {
			break
		}
		text, seq, err := readArea(r, off, size)
		switch {
		case err != nil:
			errs = append(errs, err)
		case v.Text == nil || seq > best:
			v.Text, best = text, seq
		}
	}
	if v.Text == nil {
		return v, fmt.Errorf("lvm: %w: %w", ErrNoMetadata, errors.Join(errs...))
	}
	return v, nil
}

// readArea reads the committed metadata of one area, which is a ring: a text that
// meets the area's end goes on behind its header.
func readArea(r io.ReaderAt, off, size uint64) (text []byte, seq uint64, err error) {
	h := make([]byte, mdaHeader)
	if off > 1<<62 || size > 1<<62 || size <= mdaHeader {
		return nil, 0, fmt.Errorf("metadata area of %d bytes at %d", size, off)
	}
	if _, err := r.ReadAt(h, int64(off)); err != nil {
		return nil, 0, fmt.Errorf("read the metadata area's header: %w", err)
	}
	if checksum(h[4:]) != binary.LittleEndian.Uint32(h) || string(h[4:20]) != mdaMagic {
		return nil, 0, errors.New("the metadata area's header is damaged")
	}
	loc := h[40:]
	at, n := binary.LittleEndian.Uint64(loc), binary.LittleEndian.Uint64(loc[8:])
	if at == 0 || n == 0 {
		return nil, 0, errors.New("the metadata area is empty")
	}
	if n > maxText || n > size-mdaHeader || at < mdaHeader || at >= size {
		return nil, 0, fmt.Errorf("metadata of %d bytes at %d of an area of %d", n, at, size)
	}
	text = make([]byte, n)
	first := min(n, size-at)
	if _, err := r.ReadAt(text[:first], int64(off+at)); err != nil {
		return nil, 0, fmt.Errorf("read the metadata: %w", err)
	}
	if first < n {
		if _, err := r.ReadAt(text[first:], int64(off+mdaHeader)); err != nil {
			return nil, 0, fmt.Errorf("read the metadata: %w", err)
		}
	}
	if checksum(text) != binary.LittleEndian.Uint32(loc[16:]) {
		return nil, 0, errors.New("the metadata's checksum is wrong")
	}
	g, err := ParseGroup(text)
	if err != nil {
		return nil, 0, err
	}
	return text, g.Seqno, nil
}

// checksum is the usual CRC-32, started otherwise and not inverted.
func checksum(p []byte) uint32 {
	const inverted = ^uint32(crcInitial)
	return ^crc32.Update(inverted, crc32.IEEETable, p)
}
