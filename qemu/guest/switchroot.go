package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/script"
)

// switchRoot gives the machine over to the system on a disk: its init becomes
// PID 1. It returns only on an error.
func switchRoot(m script.Mount) error {
	if err := mountDisk(m); err != nil {
		return err
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run"} {
		if err := unix.Mount(dir, m.Dir+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s to %s: %w", dir, m.Dir, err)
		}
	}
	if err := os.Chdir(m.Dir); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to /: %w", m.Dir, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot %s: %w", m.Dir, err)
	}
	return fmt.Errorf("start /sbin/init: %w", syscall.Exec("/sbin/init", []string{"/sbin/init"}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}))
}
