//go:build vm

package smoke

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
)

// Disks that are full when about 10, 50 and 90 % of the dump are written: of some 400
// MiB, or more where ballast lies in the page cache. Even the smallest leaves a dump
// that the readers open.
func TestFull(t *testing.T) {
	all := os.Getenv("GOKDUMP_TARGETS") == "all"
	for _, tt := range []struct {
		fsType  string
		percent int
		size    int64 // of the disk, in MiB
		ballast int   // files on it, in MiB
		short   bool
	}{
		{"ext4", 10, 64, 0, false},
		{"ext4", 90, 380, 0, false},
		{"xfs", 10, 320, 190, false},
		{"xfs", 50, 320, 0, false},
		{"xfs", 90, 450, 0, false},
		{"btrfs", 10, 128, 0, false},
		{"btrfs", 50, 256, 0, false},
		{"btrfs", 90, 400, 0, false},
	} {
		if !all && !tt.short {
			continue
		}
		t.Run(fmt.Sprintf("%s-%d", tt.fsType, tt.percent), func(t *testing.T) {
			o := crash(t, lab.Story{
				Config: strings.Replace(lab.DefaultConfig, "ext4", tt.fsType, 1) + "codec none\nlevel 17\n",
				Disk:   qemu.Disk{SizeMiB: tt.size, FSType: tt.fsType, UUID: lab.DiskUUID},
				Fill:   script.Fill{Workers: 12, AnonMiB: 8, ShmMiB: 1, CacheMiB: tt.ballast},
				Carry:  true,
			})
			partial(t, o, "no space left")
		})
	}
}
