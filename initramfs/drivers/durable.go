package drivers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
)

// Durable names the block device dev, "MAJOR:MINOR" or a path under /dev, by what
// outlives a renaming and does not depend on what the device holds: the volume or the
// array that it is, the partition's UUID, or what the disk's driver shows of the disk.
// What two devices share is of no use. When nothing is left it is the kernel's own
// name, and durable is false.
func (h Host) Durable(ctx context.Context, dev string) (d plan.Device, durable bool, err error) {
	name, err := h.nameOf(dev)
	if err != nil {
		return d, false, err
	}
	s, err := h.Stack(name)
	if err != nil {
		return d, false, err
	}
	if n := len(s.Layers); n > 0 && !exists(h.sys("class", "block", name, "partition")) {
		return plan.Device{By: plan.ByLayer, Value: s.Layers[n-1].UUID, Layers: s.Layers}, true, nil
	}
	f := &blkid.Finder{Sys: h.sys("class", "block"), Dev: h.dev()}
	seen, err := f.List(ctx)
	if err != nil {
		return d, false, err
	}
	at := slices.IndexFunc(seen, func(s blkid.Seen) bool { return s.Name == name })
	if at < 0 {
		return d, false, fmt.Errorf("%w: %s is not among the block devices", blkid.ErrNotFound, name)
	}
	me := seen[at]
	var ways []plan.Device
	if me.Partition.UUID != "" {
		ways = append(ways, plan.Device{By: plan.ByPartUUID, Value: me.Partition.UUID})
	}
	disk := me
	for _, s := range seen {
		if s.Name == me.Disk {
			disk = s
		}
	}
	for _, id := range disk.IDs {
		ways = append(ways, plan.Device{By: plan.ByDisk, Value: id, Part: me.Part})
	}
	for _, w := range ways {
		w.Layers = s.Layers
		// Only the one device may answer to it.
		if got, _, err := f.Find(ctx, w); err == nil && got == me.Path {
			return w, true, nil
		}
	}
	path := "/dev/" + strings.ReplaceAll(name, "!", "/")
	return plan.Device{By: plan.ByPath, Value: path, Layers: s.Layers}, false, nil
}
