package probe

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target/raw"
	"github.com/gokdump/gokdump/initramfs/drivers"
	"golang.org/x/sys/unix"
)

// disk looks for a block device. One without a file system is read; one with a file
// system only tells its room where it is mounted.
func disk(ctx context.Context, r *Result, t plan.Target) error {
	name, err := drivers.Host{}.Find(ctx, t.Device)
	if err != nil {
		return err
	}
	dev := "/dev/" + strings.ReplaceAll(name, "!", "/")
	r.Says = "it is " + dev
	if t.Kind == plan.KindRaw {
		st, err := raw.Check(dev)
		if err != nil {
			return err
		}
		if st.Waiting > 0 {
			r.warn("%s holds %d dumps that were not copied off it: kdump-arm recover does that", dev, st.Waiting)
		}
		r.room(st.Free)
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dev, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dev, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[2] != number && !strings.Contains(line, " "+dev+" ") || strings.Contains(f[4], `\`) {
			continue
		}
		var fs unix.Statfs_t
		if unix.Statfs(f[4], &fs) == nil {
			r.Says += ", mounted on " + f[4]
			r.room(fs.Bavail * uint64(fs.Frsize))
			return nil
		}
	}
	r.Says += "; its room is not known, since it is not mounted"
	return nil
}
