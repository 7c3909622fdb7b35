package main

import (
	"context"
	"path/filepath"

	"github.com/gokdump/gokdump/qemu/lab"
)

// image measures the crash image for a virtio disk with ext4.
func (b *bench) image(ctx context.Context, l *lab.Lab, dir string) error {
	out, err := l.BuildImage(ctx, dir, lab.DefaultConfig) // and its configuration
	if err != nil {
		return err
	}
	s, err := b.compare(ctx, "image", []entrant{{name: "kdump-mkinitramfs", out: out, argv: []string{
		l.Command("kdump-mkinitramfs"), "--root", l.Kernel.Root, "--kernel", l.Kernel.Release,
		"--config", filepath.Join(dir, "kdump.conf"), "--init", l.Command("kdump-init"), "-o", out}}})
	if err != nil {
		return err
	}
	b.figures = append(b.figures,
		figure{name: "image for virtio and ext4", bar: 2, value: float64(s[0].Bytes) / 1e6, unit: "MB", ours: mb(s[0].Bytes)},
		figure{name: "time to build it", bar: 0.5, value: s[0].Wall.Seconds(), unit: "s", ours: seconds(s[0]), spread: s[0].spread()})
	return nil
}
