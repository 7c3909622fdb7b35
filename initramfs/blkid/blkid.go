// Package blkid tells what a block device holds: the file system's type, UUID
// and label, and enough of what is not a file system to name it in an error.
//
// It owns the superblock layouts that say so, and the search for the one device
// that a plan names. It never writes, never mounts, never assembles: a member
// of an array or of a volume group is reported as such, since mounting one
// side of a mirror would break it. Facts: ext4's on-disk layout in the kernel's
// Documentation/filesystems/ext4, XFS Algorithms & Data Structures, the btrfs
// on-disk format page, the LUKS1 and LUKS2 format documents, the kernel's
// include/uapi/linux/raid/md_p.h, and the type names of blkid(8).
package blkid

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrUnknown is wrapped by [Probe]'s error for a device that holds nothing the
// package knows.
var ErrUnknown = errors.New("holds no file system that this program knows")

// headSize is how much of a device's start is looked at, in bytes: the btrfs
// superblock, the furthest one, ends here.
const headSize = btrfsOffset + btrfsSize

// Info is what one superblock says.
type Info struct {
	// Type is the name that blkid(8) uses: ext4, xfs, btrfs, swap,
	// crypto_LUKS, LVM2_member, linux_raid_member, vfat, squashfs, iso9660...
	Type string
	// UUID is as blkid(8) prints it, lower case; "" when there is none.
	UUID string
	// Label is the file system's name, verbatim up to its padding; "" when
	// there is none. It may hold any byte: quote it before printing.
	Label string
}

// String gives i as blkid(8) shows it, safe to print.
func (i Info) String() string {
	var b strings.Builder
	b.WriteString(i.Type)
	if i.UUID != "" {
		fmt.Fprintf(&b, " UUID=%q", i.UUID)
	}
	if i.Label != "" {
		fmt.Fprintf(&b, " LABEL=%q", i.Label)
	}
	return b.String()
}

// Sizer is implemented by readers that know how long the device is, in bytes.
// Only then can [Probe] see the array superblocks that lie at a device's end.
type Sizer interface{ Size() int64 }

// Probe reads what r holds. It reads about 68 KiB from the start and, when r is
// a [Sizer], 8 KiB from the end. Where several superblocks are valid, since
// mkfs left an older one in place, it returns the one that owns the device
// first: array and volume members, then file systems.
//
// The error wraps [ErrUnknown], or the reader's error when r could not be read.
func Probe(r io.ReaderAt) (Info, error) {
	all, err := probeAll(r)
	if err != nil {
		return Info{}, err
	}
	return all[0], nil
}

// probeAll gives every valid superblock; at least one when err is nil. A
// member of an array or volume group stands alone.
func probeAll(r io.ReaderAt) ([]Info, error) {
	buf := make([]byte, headSize)
	n, err := r.ReadAt(buf, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	head := region(buf[:max(0, min(n, len(buf)))])
	if info, ok := probeTail(r); ok {
		return []Info{info}, nil
	}
	for _, probe := range owners {
		if info, ok := probe(head); ok {
			return []Info{info}, nil
		}
	}
	var all []Info
	for _, probe := range contents {
		if info, ok := probe(head); ok {
			all = append(all, info)
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case err != nil:
		return nil, fmt.Errorf("read the first %d bytes: %w", headSize, err)
	}
	return nil, ErrUnknown
}

// Both tables are constant. The order is the order of [Probe]'s preference.
var (
	owners   = []func(region) (Info, bool){probeMD1, probeLUKS, probeLVM2}
	contents = []func(region) (Info, bool){probeXFS, probeExt, probeBtrfs, probeSquashfs, probeISO9660, probeVFAT, probeSwap}
)

// region is the start of a device; reads past its end give nothing.
type region []byte

// at gives n bytes at off, or nil when the region does not hold them all.
func (r region) at(off, n int) []byte {
	if off < 0 || n < 0 || off > len(r) || n > len(r)-off {
		return nil
	}
	return r[off : off+n : off+n]
}

// has tells whether s stands at off.
func (r region) has(off int, s string) bool {
	return string(r.at(off, len(s))) == s
}

// formatUUID prints 16 bytes in the usual 8-4-4-4-12 form; "" for all zeroes.
func formatUUID(b []byte) string {
	if len(b) != 16 || [16]byte(b) == [16]byte{} {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// text cuts padding off a fixed-size name: everything from the first NUL, then
// trailing spaces.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.TrimRight(s, " ")
}
