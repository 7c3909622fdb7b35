//go:build vm

package smoke

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
)

// Disks that are full when about 10, 50 and 90 % of the dump are written: of some 400
// MiB, or of 1500 where it is 10 %, for a tenth of less would not hold what no reader
// can do without. All leave a dump that the readers open.
func TestFullAt(t *testing.T) {
	for _, tt := range []struct {
		fsType  string
		percent int
		size    int64 // of the disk, in MiB
		ballast int   // files on it, in MiB
	}{
		{"ext4", 10, 160, 0},
		{"ext4", 90, 380, 0},
		{"xfs", 10, 320, 90},
		{"xfs", 50, 320, 0},
		{"xfs", 90, 450, 0},
		{"btrfs", 10, 220, 0},
		{"btrfs", 50, 256, 0},
		{"btrfs", 90, 400, 0},
	} {
		if !allTargets() {
			continue
		}
		t.Run(fmt.Sprintf("%s-%d", tt.fsType, tt.percent), func(t *testing.T) {
			memory, anon := 0, 24 // MiB; anonymous memory is each worker's
			if tt.percent == 10 {
				memory, anon = 2048, 110
			}
			o := crash(t, lab.Story{
				MemoryMiB: memory,
				Config:    strings.Replace(lab.DefaultConfig, "ext4", tt.fsType, 1) + "codec none\nlevel 17\n",
				Disk:      qemu.Disk{SizeMiB: tt.size, FSType: tt.fsType, UUID: lab.DiskUUID},
				Fill:      script.Fill{Workers: 12, AnonMiB: anon, ShmMiB: 1, CacheMiB: tt.ballast},
				Carry:     true,
			})
			partial(t, o, "no space left")
		})
	}
}

// A thin disk runs out of room when data is written back, long after write(2) took it:
// its sector at 60 % answers that there is no space (SCSI: DATA PROTECT, 27h/07h), which
// xfs passes on and ext4 calls an I/O error. What is behind the last pages that are safe
// is left out, and the rest opens.
func TestFullAtWriteBack(t *testing.T) {
	for fsType, says := range map[string]string{"ext4": "input/output error", "xfs": "no space left"} {
		if !allTargets() {
			continue // in make test-targets
		}
		t.Run(fsType, func(t *testing.T) {
			t.Parallel()
			mkfs := "mke2fs -q -t ext4 -m 0 -L dumps -E lazy_itable_init=0,lazy_journal_init=0 /dev/sda"
			if fsType == "xfs" {
				mkfs = "mkfs.xfs -q -L dumps /dev/sda"
			}
			o, err := shared.RunHost(t.Context(), dir(t), lab.Host{
				Disks: []lab.HostDisk{{SizeMiB: 512, Bus: qemu.VirtioSCSI, Faults: `[inject-error]
event = "write_aio"
iotype = "write"
errno = "28"
sector = "629145"
once = "off"
`}},
				Setup:  mkfs + "\n",
				Config: fsType + " LABEL=dumps\npath /crash\ncodec none\nlevel 1\n",
				Fetch:  fetchLabel,
				Fill:   script.Fill{Workers: 12, AnonMiB: 24, ShmMiB: 1},
			})
			if err != nil {
				t.Fatal(err)
			}
			partial(t, o, says)
		})
	}
}
