// Package drivers tells which kernel modules reach a block device of the running
// host, so that a crash image carries these and no others: drivers that are not
// needed cost memory and may hang on hardware that nobody reset.
//
// It owns the walk through sysfs and nothing else: it loads nothing, and what a
// module needs in turn is the business of initramfs/modules. Which file system
// a device holds it asks initramfs/blkid.
//
// Facts: Documentation/admin-guide/sysfs-rules.rst, Documentation/ABI/testing
// (sysfs-block, sysfs-bus-*, sysfs-class-watchdog), Documentation/ABI/stable/
// sysfs-devices. Device numbers under /sys/dev/block, names under /sys/class/block.
package drivers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
)

// Host is where the running host shows its devices. The zero Host is /sys and /dev.
type Host struct {
	// Sys is sysfs; empty means /sys.
	Sys string
	// Dev is devtmpfs; empty means /dev.
	Dev string
}

func (h Host) sys(elem ...string) string {
	return filepath.Join(append([]string{or(h.Sys, "/sys")}, elem...)...)
}

func (h Host) dev(elem ...string) string {
	return filepath.Join(append([]string{or(h.Dev, "/dev")}, elem...)...)
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// Find gives the kernel's name (vda1) of the block device that d names. The error
// wraps [blkid.ErrNotFound] when the host has none such.
func (h Host) Find(ctx context.Context, d plan.Device) (string, error) {
	switch d.By {
	case plan.ByPath:
		return h.nameOf(d.Value)
	case plan.ByUUID:
		// udev knows already, and asking it needs no right to read disks.
		if real, err := filepath.EvalSymlinks(h.dev("disk", "by-uuid", d.Value)); err == nil {
			return filepath.Base(real), nil
		}
	}
	f := &blkid.Finder{Sys: h.sys("class", "block"), Dev: h.dev()}
	node, _, err := f.Find(ctx, d)
	if err != nil {
		return "", err
	}
	return h.nameOf(node)
}

// nameOf turns "MAJOR:MINOR" or a path under /dev into the kernel's name.
func (h Host) nameOf(dev string) (string, error) {
	var name string
	if strings.HasPrefix(dev, "/") {
		if in, ok := strings.CutPrefix(dev, "/dev/"); ok {
			dev = h.dev(in)
		}
		real, err := filepath.EvalSymlinks(dev)
		if err != nil {
			return "", fmt.Errorf("%w: %w", blkid.ErrNotFound, err)
		}
		rel, err := filepath.Rel(h.dev(), real)
		if err != nil {
			return "", err
		}
		name = strings.ReplaceAll(rel, "/", "!") // cciss/c0d0 is cciss!c0d0 in sysfs
	} else {
		real, err := filepath.EvalSymlinks(h.sys("dev", "block", dev))
		if err != nil {
			return "", fmt.Errorf("%w: number %s: %w", blkid.ErrNotFound, dev, err)
		}
		name = filepath.Base(real)
	}
	if _, err := os.Stat(h.sys("class", "block", name)); err != nil {
		return "", fmt.Errorf("%w: %s is no block device: %w", blkid.ErrNotFound, dev, err)
	}
	return name, nil
}

// Identity is what a block device holds and what it is made of.
type Identity struct {
	blkid.Info
	Stack
}

// Identify says what file system a block device holds. dev is "MAJOR:MINOR" or a
// path under /dev. A device that the crash kernel could not put together is a
// *[StackedError].
func (h Host) Identify(dev string) (Identity, error) {
	var id Identity
	name, err := h.nameOf(dev)
	if err != nil {
		return id, err
	}
	if id.Stack, err = h.Stack(name); err != nil {
		return id, err
	}
	for _, d := range id.Disks {
		if _, err := h.Chain(d); err != nil {
			return id, err
		}
	}
	f, err := os.Open(h.dev(strings.ReplaceAll(name, "!", "/")))
	if err != nil {
		return id, fmt.Errorf("look at the file system: %w", err)
	}
	defer f.Close()
	if id.Info, err = blkid.Probe(f); err != nil {
		return id, fmt.Errorf("look at the file system of %s: %w", name, err)
	}
	if id.Type == "btrfs" {
		// A btrfs on several devices shows them all here; mounting it from one needs a
		// scan that the crash kernel does not do.
		if list, err := os.ReadDir(h.sys("fs", "btrfs", id.UUID, "devices")); err == nil && len(list) > 1 {
			return id, fmt.Errorf("%s is one of %d devices of a btrfs file system, which is not supported", name, len(list))
		}
	}
	return id, nil
}
