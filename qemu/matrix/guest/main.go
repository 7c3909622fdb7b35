// Command guest is /init of the kernel matrix's machines, twice: in the kernel that
// crashes it fills memory with every kind of page there is and panics; in the crash
// kernel it copies /proc/vmcore to a raw disk, byte by byte, and hands over to
// kdump-init where it is told to.
//
// It is neutral on purpose: it knows nothing of pages, filters or dump formats, and
// uses none of the product's code, so that its copy can stand against all of it.
// It depends on nothing that changes, for its digest names the cores in the cache.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

func main() {
	if len(os.Args) == 3 && os.Args[0] == spec.WorkerName {
		work(os.Args[1], os.Args[2])
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: error: this is /init of a test machine, not a program to run")
		os.Exit(2)
	}
	if err := run(); err != nil {
		say("%s%v", spec.Failed, err)
	}
	time.Sleep(500 * time.Millisecond) // the serial line drains
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := mount(m[0], m[1], m[0]); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(spec.File)
	if err != nil {
		return err
	}
	s, err := spec.Parse(b)
	if err != nil {
		return err
	}
	for _, m := range s.Modules {
		if err := loadModule(m); err != nil {
			return err
		}
	}
	if st, err := os.Stat("/proc/vmcore"); err == nil && st.Size() > 0 {
		return save(s)
	}
	return crash(s)
}

func mount(dev, dir, fstype string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(dev, dir, fstype, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s on %s: %w", fstype, dir, err)
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// ENODEV is a module for what this machine does not have.
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("module %s: %w", path, err)
	}
	return nil
}

// say puts a line on the console through the kernel's log, so that it is in the
// core as well.
func say(format string, a ...any) {
	line := spec.Marker + fmt.Sprintf(format, a...)
	if k, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
		_, err = k.WriteString("<4>" + line)
		k.Close()
		if err == nil {
			return
		}
	}
	fmt.Println(line)
}

// appears waits for a device.
func appears(path string) error {
	for range 400 {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("%s did not appear", path)
}
