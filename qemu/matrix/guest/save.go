package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

// The copy is made in windows of /proc/vmcore, each written in blocks; blocks of
// zeros stay holes of the disk's image.
const (
	window = 8 << 20
	block  = 64 << 10
)

// save copies /proc/vmcore to the first disk and hands over.
func save(s *spec.Spec) error {
	in, err := os.Open("/proc/vmcore")
	if err != nil {
		return err
	}
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if err := appears("/dev/vda"); err != nil {
		return err
	}
	// No page cache: the crash kernel has no room for it.
	out, err := os.OpenFile("/dev/vda", os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	buf, err := unix.Mmap(-1, 0, window, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	zeros := make([]byte, block)
	for off := int64(0); off < st.Size(); off += window {
		n := int(min(window, st.Size()-off))
		if err := copyWindow(buf[:n], in, off); err != nil {
			return fmt.Errorf("read /proc/vmcore at %#x: %w", off, err)
		}
		clear(buf[n:])
		for at := 0; at < n; at += block {
			b := buf[at : at+block]
			if bytes.Equal(b, zeros) {
				continue
			}
			if _, err := out.WriteAt(b, off+int64(at)); err != nil {
				return fmt.Errorf("write the copy at %#x: %w", off+int64(at), err)
			}
		}
	}
	if err := errors.Join(out.Sync(), out.Close(), in.Close()); err != nil {
		return err
	}
	if err := unix.Munmap(buf); err != nil {
		return err
	}
	say("%s%d", spec.CoreSize, st.Size())
	if s.Then != "" {
		return unix.Exec(s.Then, []string{s.Then}, nil)
	}
	time.Sleep(300 * time.Millisecond)
	return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// copyWindow fills p from the core. mmap is many times faster than read(2), which
// maps every page into the kernel anew; but not every part of a core can be mapped.
func copyWindow(p []byte, in *os.File, off int64) error {
	if m, err := unix.Mmap(int(in.Fd()), off, len(p), unix.PROT_READ, unix.MAP_PRIVATE); err == nil {
		err = copyMapped(p, m)
		if uerr := unix.Munmap(m); uerr != nil {
			return uerr
		}
		if err == nil {
			return nil
		}
	}
	n, err := in.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}

// copyMapped turns a fault of the mapping into an error.
func copyMapped(p, m []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if f, ok := r.(runtime.Error); ok {
				err = f
				return
			}
			panic(r)
		}
	}()
	copy(p, m)
	return nil
}
