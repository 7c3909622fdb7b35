package blkid

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// Seen is one block device as [Finder.Find] met it.
type Seen struct {
	// Name is the kernel's name, as in /sys/class/block.
	Name string
	// Path is the device node.
	Path string
	// Size is in bytes; 0 when there is no medium.
	Size int64
	// Disk is the Name of the disk that this is a partition of; "" for others.
	Disk string
	// Part is its number on that disk, from 1; 0 for others.
	Part int
	// Partition is what the disk's partition table says of it.
	Partition Partition
	// Table is a whole disk's partition table.
	Table PartTable
	// IDs tell a whole disk from others, as its driver shows them: ATTRIBUTE:VALUE.
	IDs []string
	// Holders are the Names of devices that are built on this one.
	Holders []string
	// Infos are the superblocks found; nearly always one.
	Infos []Info
	// Err says why the contents are not known; it wraps [ErrUnknown] when the
	// device could be read.
	Err error

	sector int // logical block size of a whole disk, in bytes
}

// String describes s in one line for an error's text.
func (s Seen) String() string {
	switch {
	case s.Size == 0:
		return s.Path + ": no medium"
	case errors.Is(s.Err, ErrUnknown):
		return fmt.Sprintf("%s: %s, unknown contents", s.Path, size(s.Size))
	case s.Err != nil:
		return fmt.Sprintf("%s: %s, %v", s.Path, size(s.Size), s.Err)
	}
	what := make([]string, len(s.Infos))
	for i, info := range s.Infos {
		what[i] = info.String()
	}
	return fmt.Sprintf("%s: %s, %s", s.Path, size(s.Size), strings.Join(what, " and "))
}

// Describe joins what was seen, for an error's text.
func Describe(seen []Seen) string {
	if len(seen) == 0 {
		return "no block devices at all: is the disk's driver in the image?"
	}
	lines := make([]string, len(seen))
	for i, s := range seen {
		lines[i] = s.String()
	}
	return strings.Join(lines, "; ")
}

// fits tells whether d names s, by what it holds or where it lies. disks are all
// devices by name.
func (s Seen) fits(d plan.Device, disks map[string]Seen) bool {
	switch d.By {
	case plan.ByPartUUID:
		return s.Partition.UUID != "" && strings.EqualFold(s.Partition.UUID, d.Value)
	case plan.ByPartLabel:
		return s.Partition.Label != "" && s.Partition.Label == d.Value
	case plan.ByDisk:
		disk := s
		if s.Disk != "" {
			disk = disks[s.Disk]
		}
		return s.Part == d.Part && slices.Contains(disk.IDs, d.Value)
	}
	for _, i := range s.Infos {
		switch d.By {
		case plan.ByUUID:
			if i.UUID != "" && strings.EqualFold(i.UUID, d.Value) {
				return true
			}
		case plan.ByLabel:
			if i.Label != "" && i.Label == d.Value {
				return true
			}
		}
	}
	return false
}

// size prints bytes for people, in binary units.
func size(n int64) string {
	switch {
	case n >= 1<<40:
		return fmt.Sprintf("%.1f TiB", float64(n)/(1<<40))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
