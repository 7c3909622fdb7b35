package initramfs

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"

	"github.com/gokdump/gokdump/initramfs/archive"
)

const mib = 1 << 20

// What a crash kernel takes besides its image, in bytes. With the Debian 6.1 cloud kernel
// (init_size 51.5 MiB) and a 2 MiB image, a reservation of 72 MiB does not start
// and one of 80 MiB does.
const (
	// UsualInitSize stands for a kernel that does not tell its init_size, in bytes:
	// rather less than usual, since what might start must not be refused.
	UsualInitSize = 48 * mib
	// workingFloor is for early allocations, kdump-init and its buffers.
	workingFloor = 20 * mib
)

// Need is the least memory that a kernel with an image takes, in bytes.
type Need struct {
	Kernel  int64 // the kernel itself while it starts: init_size of its header
	Packed  int64 // the image as loaded
	Plain   int64 // the image as unpacked, before the packed one is freed
	Working int64 // everything after that
}

// Total is the sum.
func (n Need) Total() int64 { return n.Kernel + n.Packed + n.Plain + n.Working }

// NeedOf estimates for an image of size with the kernel boot/vmlinuz-RELEASE under
// root; a usual figure stands for a kernel that is not there or does not tell.
func NeedOf(root fs.FS, release string, size archive.Stats) Need {
	n := Need{Kernel: UsualInitSize, Packed: size.Packed, Plain: size.Plain, Working: workingFloor}
	for _, name := range []string{"boot/vmlinuz-" + release, "lib/modules/" + release + "/vmlinuz", "usr/lib/modules/" + release + "/vmlinuz"} {
		if s := initSize(root, name); s > 0 {
			n.Kernel = s
			break
		}
	}
	return n
}

// initSize reads init_size from a bzImage's header, 0 when there is none
// (Documentation/arch/x86/boot.rst: "HdrS" at 0x202, init_size at 0x260, since
// protocol 2.10).
func initSize(root fs.FS, name string) int64 {
	f, err := root.Open(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	var b [0x264]byte
	if _, err := io.ReadFull(f, b[:]); err != nil || string(b[0x202:0x206]) != "HdrS" || binary.LittleEndian.Uint16(b[0x206:]) < 0x20a {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(b[0x260:]))
}

// Fits compares n with the memory reserved for the crash kernel, in bytes.
func (n Need) Fits(reserved int64) error {
	if n.Total() <= reserved {
		return nil
	}
	return fmt.Errorf("the image does not fit the reservation: %s are reserved, at least %s are needed (kernel %s, image %s and %s unpacked, working memory %s)",
		size(reserved), size(n.Total()), size(n.Kernel), size(n.Packed), size(n.Plain), size(n.Working))
}

func size(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/mib) }
