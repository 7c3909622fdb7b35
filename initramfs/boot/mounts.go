package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/u-root/u-root/pkg/mount"
	"golang.org/x/sys/unix"
)

// MountPoint is where the first target's file system is mounted.
const MountPoint = "/mnt"

// MountPointOf is where the file system of the plan's target i, from 0, is
// mounted: a place of its own, since the one before may be stuck.
func MountPointOf(i int) string {
	if i == 0 {
		return MountPoint
	}
	return MountPoint + strconv.Itoa(i+1)
}

// MountFunc is mount(2) in the order of its manual page.
type MountFunc func(dev, dir, fstype string, flags uintptr, data string) error

// Mount is mount(2); its error carries everything that it was called with.
func Mount(dev, dir, fstype string, flags uintptr, data string) error {
	_, err := mount.Mount(dev, dir, fstype, data, flags)
	return err
}

// MountKernel mounts /proc, /sys and a devtmpfs on /dev, making the
// directories below root ("" for the real one). What is mounted already (EBUSY)
// stays. All are tried; the errors come joined.
func MountKernel(root string, mnt MountFunc) error {
	var errs []error
	for _, m := range []struct {
		dir, fstype string
		flags       uintptr
		data        string
	}{
		{"/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	} {
		dir := root + m.dir
		if err := os.MkdirAll(dir, 0o755); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := mnt(m.fstype, dir, m.fstype, m.flags, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// MountTarget mounts t's file system from dev on dir, which it makes, and
// waits for that no longer than ctx.
func MountTarget(ctx context.Context, t plan.Target, dev, dir string, mnt MountFunc) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err := Within(ctx, fmt.Sprintf("mount %s (%s) on %s", dev, t.FSType, dir), func() error {
		return mnt(dev, dir, t.FSType, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, t.Options)
	})
	if err != nil {
		return fmt.Errorf("%w%s", err, mountHint(err, t.FSType))
	}
	return nil
}

// mountHint says what an error of mount(2) mostly means.
func mountHint(err error, fstype string) string {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Sprintf(" (this kernel does not know %s: is its module in the image?)", fstype)
	case errors.Is(err, unix.EINVAL):
		return fmt.Sprintf(" (no %s on it, a feature that this kernel lacks, or a bad mount option: see the kernel's messages)", fstype)
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES):
		return " (the device is write-protected)"
	case errors.Is(err, unix.EUCLEAN), errors.Is(err, unix.EBADMSG):
		return " (the file system is damaged: run fsck on it)"
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.EIO):
		return " (the device does not answer as it should)"
	}
	return ""
}

// DumpDir makes the plan's directory below the mount point dir, 0700, and gives
// its path. A symbolic link that leads out of the mounted file system is an
// error: in the crash kernel it would lead into memory that is lost at reboot.
func DumpDir(dir, sub string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	rel := strings.TrimPrefix(path.Clean("/"+sub), "/")
	if rel == "" {
		return dir, nil
	}
	if err := root.MkdirAll(rel, 0o700); err != nil {
		return "", fmt.Errorf("make the dump directory: %w", err)
	}
	// MkdirAll takes an existing path for done without a look beyond the last link.
	st, err := root.Stat(rel)
	if err != nil {
		return "", fmt.Errorf("make the dump directory: %w", err)
	}
	if !st.IsDir() {
		return "", fmt.Errorf("make the dump directory: %s: %w", path.Join(dir, rel), unix.ENOTDIR)
	}
	return path.Join(dir, rel), nil
}
