package qemu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Disk describes a disk image to make.
type Disk struct {
	// SizeMiB is the disk's size in MiB; the file is sparse.
	SizeMiB int64
	// FSType is ext4, xfs or btrfs; empty leaves the disk blank.
	FSType string
	// UUID of the file system; empty lets the mkfs program choose.
	UUID string
	// Label of the file system; empty means none.
	Label string
	// From is a directory whose contents go onto an ext4 file system; empty
	// means none.
	From string
}

// Make writes the image to path. It needs no root: the mkfs programs write
// into the file.
func (d Disk) Make(ctx context.Context, path string) error {
	if d.SizeMiB <= 0 {
		return fmt.Errorf("qemu: disk %s: size of %d MiB", path, d.SizeMiB)
	}
	args, err := d.mkfs(path)
	if err != nil {
		return fmt.Errorf("qemu: disk %s: %w", path, err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("qemu: disk: %w", err)
	}
	if err := errors.Join(f.Truncate(d.SizeMiB<<20), f.Close()); err != nil {
		return fmt.Errorf("qemu: disk: %w", err)
	}
	if args == nil {
		return nil
	}
	_, err = runTool(ctx, args[0], args[1:]...)
	return err
}

// mkfs is the command line that makes the file system, nil for a blank disk.
func (d Disk) mkfs(path string) ([]string, error) {
	if d.From != "" && d.FSType != "ext4" {
		return nil, fmt.Errorf("contents for a %q file system: only ext4 takes them", d.FSType)
	}
	var args []string
	switch d.FSType {
	case "":
		return nil, nil
	case "ext4":
		// No reserved blocks: a full disk must be full for root too. No lazy
		// initialisation: it would write while the guest crashes.
		args = []string{"mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"}
		args = appendOpt(args, "-U", d.UUID)
		args = appendOpt(args, "-L", d.Label)
		args = appendOpt(args, "-d", d.From)
	case "xfs":
		args = []string{"mkfs.xfs", "-q", "-f"}
		if d.UUID != "" {
			args = append(args, "-m", "uuid="+d.UUID)
		}
		args = appendOpt(args, "-L", d.Label)
	case "btrfs":
		args = appendOpt([]string{"mkfs.btrfs", "-q", "-f"}, "-U", d.UUID)
		args = appendOpt(args, "-L", d.Label)
	default:
		return nil, fmt.Errorf("file system %q: want ext4, xfs, btrfs or none", d.FSType)
	}
	return append(args, path), nil
}

func appendOpt(args []string, opt, value string) []string {
	if value == "" {
		return args
	}
	return append(args, opt, value)
}

// Extract copies the contents of an ext4 image into dir, which must exist,
// without mounting it. A file system that was not unmounted in good order is
// read as it lies on the disk, its journal unreplayed; see [CheckExt4].
func Extract(ctx context.Context, image, dir string) error {
	// debugfs exits 0 whatever happens and splits its command at spaces.
	for _, p := range []string{image, dir} {
		if strings.ContainsAny(p, "\" \t\n") {
			return fmt.Errorf("qemu: extract: debugfs cannot take the path %q", p)
		}
	}
	if _, err := os.Stat(image); err != nil {
		return fmt.Errorf("qemu: extract: %w", err)
	}
	_, err := runTool(ctx, "debugfs", "-R", "rdump / "+dir, image)
	if err != nil {
		return err
	}
	// Every ext4 file system holds lost+found: without it nothing was read.
	if _, err := os.Stat(dir + "/lost+found"); err != nil {
		return fmt.Errorf("qemu: extract %s: not an ext4 file system, or it could not be read", image)
	}
	return nil
}

// CheckExt4 reports whether an ext4 image is sound and was unmounted in good
// order, changing nothing.
func CheckExt4(ctx context.Context, image string) error {
	out, err := runTool(ctx, "e2fsck", "-f", "-n", image)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("qemu: e2fsck finds %s unsound (exit %s):\n%s", image, strconv.Itoa(exit.ExitCode()), strings.TrimSpace(out))
	}
	return err
}

// PutFiles writes files of the host into an ext4 image without mounting it: names
// in it, without a leading slash, whose directories exist, and what they are on the
// host.
func PutFiles(ctx context.Context, image string, files map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		// debugfs exits 0 whatever happens and splits its command at spaces.
		for _, p := range []string{image, name, files[name]} {
			if strings.ContainsAny(p, "\" \t\n") {
				return fmt.Errorf("qemu: put files: debugfs cannot take the path %q", p)
			}
		}
		if _, err := runTool(ctx, "debugfs", "-w", "-R", "write "+files[name]+" "+name, image); err != nil {
			return err
		}
		if out, err := runTool(ctx, "debugfs", "-R", "stat "+name, image); err != nil || !strings.Contains(out, "Type: regular") {
			return fmt.Errorf("qemu: put %s into %s as %s: it did not arrive: %v", files[name], image, name, err)
		}
	}
	return nil
}
