package main

import (
	"context"
	"path/filepath"

	"github.com/gokdump/gokdump/qemu/lab"
)

// kdumpTools is a Debian whose own kdump-tools does the work, as its package sets
// itself up: a small initramfs of its own, the whole system booted behind it.
func (b *bench) kdumpTools(base string) func(ctx context.Context, dir string) (*lab.Outcome, error) {
	return func(ctx context.Context, dir string) (*lab.Outcome, error) {
		root := filepath.Join(dir, "root")
		release := b.lab.Kernel.Release
		return b.lab.SystemOf(ctx, dir, lab.Setup{
			Root: func(context.Context) (string, error) { return base, nil },
			Commands: [][]string{
				{"sed", "-i", "s/^USE_KDUMP=.*/USE_KDUMP=1/", filepath.Join(root, "etc/default/kdump-tools")},
				// On the machine itself, its package would find out by MODULES=dep which
				// drivers the disk needs. It is not there to be looked at, so they are named.
				{"sed", "-i", "s/^MODULES=.*/MODULES=list/", filepath.Join(root, "etc/initramfs-tools/initramfs.conf")},
				{"chroot", root, "sh", "-c", "printf '%s\\n' virtio_pci virtio_blk ext4 >>/etc/initramfs-tools/modules"},
				{"chroot", root, "/etc/kernel/postinst.d/kdump-tools", release},
				{"ls", "-l", filepath.Join(root, "var/lib/kdump", "initrd.img-"+release)},
			},
			Report: "kdump-config status",
		})
	}
}
