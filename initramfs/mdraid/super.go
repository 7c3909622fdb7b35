// Package mdraid reads what a member of a Linux software RAID says of its array.
//
// It owns the layout of the superblocks, versions 0.90 (little endian, the only one
// that amd64 and arm64 take) and 1.0 to 1.2. It never writes and never assembles:
// that is the business of initramfs/assemble, through the kernel.
//
// Facts: include/uapi/linux/raid/md_p.h, md(4).
package mdraid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNoMember is returned for a device that is no member of an array.
var ErrNoMember = errors.New("no member of a software RAID")

// Super is one member's superblock.
type Super struct {
	// Major and Minor are the version of the format: 0 and 90, or 1 and 0 to 2.
	Major, Minor int
	// UUID is the array's, in the usual form, as blkid(8) prints it.
	UUID string
	// Name is the array's, "" in version 0.90.
	Name string
	// Level is the RAID level, with negative numbers for what is no RAID (-1 linear).
	Level int
	// Disks is how many members a whole array has.
	Disks int
	// Role is the member's place in the array, from 0; -1 for a spare or a faulty
	// one.
	Role int
	// Member tells this member from the array's others: its own UUID, or in version
	// 0.90 the word disk and its number.
	Member string
	// Events grows with each change of the array; who lags behind is outdated.
	Events uint64
}

const (
	magic    = 0xa92b4efc // MD_SB_MAGIC
	reserved = 64 << 10   // MD_RESERVED_BYTES, of version 0.90
	superMax = 4096
)

// Version is the format's as mdadm writes it.
func (s *Super) Version() string {
	if s.Major == 0 {
		return fmt.Sprintf("0.%02d", s.Minor)
	}
	return fmt.Sprintf("%d.%d", s.Major, s.Minor)
}

// Read reads the superblock of a member of size bytes. The places are tried in
// the order of the package initramfs/blkid: the end first.
func Read(r io.ReaderAt, size int64) (*Super, error) {
	if size < 2*reserved {
		return nil, ErrNoMember
	}
	var failed error
	b := make([]byte, superMax)
	for _, place := range []struct {
		off    int64
		minor  int
		parser func([]byte, int) (*Super, bool)
	}{
		{(size - 8192) &^ 4095, 0, version1},
		{size&^(reserved-1) - reserved, 90, version0},
		{0, 1, version1},
		{4096, 2, version1},
	} {
		if _, err := r.ReadAt(b, place.off); err != nil {
			failed = err
			continue
		}
		if s, ok := place.parser(b, place.minor); ok {
			return s, nil
		}
	}
	if failed != nil {
		return nil, fmt.Errorf("read the superblock: %w", failed)
	}
	return nil, ErrNoMember
}

// version1 reads struct mdp_superblock_1.
func version1(b []byte, minor int) (*Super, bool) {
	le := binary.LittleEndian
	if le.Uint32(b) != magic || le.Uint32(b[4:]) != 1 {
		return nil, false
	}
	s := &Super{
		Major: 1, Minor: minor,
		UUID: uuid(b[16:32]), Member: uuid(b[168:184]),
		Level: int(int32(le.Uint32(b[72:]))), Disks: int(le.Uint32(b[92:])),
		Role: -1, Events: le.Uint64(b[200:]),
	}
	s.Name, _, _ = strings.Cut(string(b[32:64]), "\x00")
	number, count := le.Uint32(b[160:]), le.Uint32(b[220:])
	const roles = 256 // u16 each; 0xffff a spare, 0xfffe faulty, 0xfffd a journal
	if count > (superMax-roles)/2 || number >= count || s.Disks < 0 || s.Disks > int(count) {
		return nil, false
	}
	if role := int(le.Uint16(b[roles+2*number:])); role < s.Disks {
		s.Role = role
	}
	return s, true
}

// version0 reads struct mdp_superblock_s, which is 1024 words.
func version0(b []byte, minor int) (*Super, bool) {
	word := func(n int) uint32 { return binary.LittleEndian.Uint32(b[4*n:]) }
	if word(0) != magic || word(1) != 0 || word(2) != uint32(minor) {
		return nil, false
	}
	id := append(append([]byte(nil), b[4*5:4*6]...), b[4*13:4*16]...)
	s := &Super{
		Major: 0, Minor: minor, UUID: uuid(id),
		Level: int(int32(word(7))), Disks: int(word(10)), Role: -1,
		Events: uint64(word(40))<<32 | uint64(word(39)),
	}
	const (
		this         = 992 // MD_SB_WORDS less one descriptor
		active, sync = 1 << 1, 1 << 2
	)
	s.Member = fmt.Sprintf("disk %d", word(this))
	if s.Disks > 27 || s.Disks < 0 { // MD_SB_DISKS
		return nil, false
	}
	if state := word(this + 4); state&active != 0 && state&sync != 0 && int(word(this+3)) < s.Disks {
		s.Role = int(word(this + 3))
	}
	return s, true
}

func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
