package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/script"
)

// carry copies a directory to another disk and unmounts that, so that all of it
// is there for the host to read.
func carry(c script.Carry) error {
	if _, err := os.Stat(c.From); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := mountDisk(c.To); err != nil {
		return err
	}
	err := os.CopyFS(c.To.Dir+c.From, os.DirFS(c.From))
	if uerr := unix.Unmount(c.To.Dir, 0); uerr != nil {
		err = errors.Join(err, fmt.Errorf("unmount %s: %w", c.To.Dir, uerr))
	}
	if err == nil {
		say("carried %s to %s", c.From, c.To.Device)
	}
	return err
}
