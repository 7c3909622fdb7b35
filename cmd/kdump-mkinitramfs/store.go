package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs"
	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/google/renameio/v2"
)

// store writes the image, unless it is wanted only if it differs.
func (p *program) store(out string, f *flags, image []byte, rep *initramfs.Report, comp archive.Compression) error {
	if f.ifNeeded {
		if same, err := isCurrent(out, image); err != nil {
			return err
		} else if same {
			fmt.Fprintf(p.stdout, "%s is current\n", out)
			return nil
		}
	}
	if err := write(out, image); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: kernel %s, %s; %d modules; %s of %s, unpacked %s\n", out, rep.Plan.Kernel,
		targets(rep.Plan), len(rep.Modules.Modules), comp, size(rep.Size.Packed), size(rep.Size.Plain))
	return nil
}

// isCurrent compares the image on disk with the one just built, and sees to its mode.
func isCurrent(out string, image []byte) (bool, error) {
	st, err := os.Stat(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() != int64(len(image)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	old, err := os.ReadFile(out)
	if err != nil {
		return false, err
	}
	return bytes.Equal(old, image) && st.Mode() == 0o600, nil
}

// write puts the image in place at once or not at all, readable for root alone.
func write(out string, image []byte) error {
	if st, err := os.Stat(out); err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("%s is there and is not a file", out)
	}
	dir := filepath.Dir(out)
	if dir == stateDir {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := replace(out, dir, image); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// replace is renameio.WriteFile, but for the mode of a file that is there: that one
// keeps it, and an older image may be open to all.
func replace(out, dir string, image []byte) error {
	t, err := renameio.NewPendingFile(out, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer t.Cleanup()
	if _, err := t.Write(image); err != nil {
		return err
	}
	return t.CloseAtomicallyReplace()
}

// targets names a plan's targets in their order.
func targets(p *plan.Plan) string {
	var names []string
	for _, t := range p.Targets {
		names = append(names, t.String())
	}
	return strings.Join(names, "; then ")
}
