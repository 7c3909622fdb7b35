// Package kexec loads and unloads the crash kernel with kexec_file_load(2) and
// reads what the running kernel says of it: whether one is loaded, how much
// memory is reserved, what forbids loading.
//
// It owns the system call, its flags and the meaning of every error number that
// comes back. It never decides what to load, never writes to sysfs, and never
// uses the older kexec_load(2): that call is shut under lockdown, and its
// user-space half lives in kexec-tools.
//
// Facts are from include/uapi/linux/kexec.h, kernel/kexec_file.c and
// arch/x86/kernel/kexec-bzimage64.c of Linux 6.1 to 6.18,
// Documentation/arch/x86/boot.rst, Documentation/arch/arm64/booting.rst and
// Documentation/ABI/testing/sysfs-kernel-kexec-kdump.
package kexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Caller does the bare system calls. [Syscall] is the real one; tests put
// another in its place. Both methods return a bare error number or nil.
type Caller interface {
	// LoadCrash is kexec_file_load(2) with KEXEC_FILE_ON_CRASH. Whatever crash
	// kernel was loaded before is gone as soon as the kernel has accepted the
	// caller's permission and flags, also when the call then fails.
	LoadCrash(kernel, image *os.File, cmdline string) error
	// UnloadCrash is kexec_file_load(2) with KEXEC_FILE_UNLOAD and
	// KEXEC_FILE_ON_CRASH. It succeeds when nothing is loaded.
	UnloadCrash() error
}

// Syscall is the [Caller] that asks the running kernel.
type Syscall struct{}

// LoadCrash implements [Caller].
func (Syscall) LoadCrash(kernel, image *os.File, cmdline string) error {
	err := unix.KexecFileLoad(int(kernel.Fd()), int(image.Fd()), cmdline, unix.KEXEC_FILE_ON_CRASH)
	// Without these a finalizer may close a file between Fd and the call, and
	// its number may by then stand for another file.
	runtime.KeepAlive(kernel)
	runtime.KeepAlive(image)
	return err
}

// UnloadCrash implements [Caller].
func (Syscall) UnloadCrash() error {
	return unix.KexecFileLoad(-1, -1, "", unix.KEXEC_FILE_UNLOAD|unix.KEXEC_FILE_ON_CRASH)
}

// Request is one crash kernel to load.
type Request struct {
	// Kernel is the kernel image, Image the initramfs; both open for reading.
	Kernel, Image *os.File
	// Cmdline is the command line without elfcorehdr=, which the kernel adds.
	Cmdline string
}

// busyPause is the time between two tries while another load runs.
const busyPause = 200 * time.Millisecond

// Load loads a crash kernel. While the kernel says that another load is under
// way it tries again until ctx ends. A refusal is an [*Error]. Load does not
// read back whether the kernel is loaded: see [System.CrashLoaded].
func Load(ctx context.Context, c Caller, sys System, req Request) error {
	kernel, done, err := plain(req.Kernel)
	if err != nil {
		return err
	}
	defer done()
	err = retry(ctx, func() error { return c.LoadCrash(kernel, req.Image, req.Cmdline) })
	if err == nil {
		return nil
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("load the crash kernel: %w", err)
	}
	s := sys.situation()
	s.KernelPath, s.ImagePath = req.Kernel.Name(), req.Image.Name()
	s.CmdlineLen = len(req.Cmdline)
	if fi, err := kernel.Stat(); err == nil {
		s.KernelSize = fi.Size()
		if k, err := ReadKernel(kernel, fi.Size()); err == nil {
			s.InitSize, s.CmdlineMax = k.InitSize, k.CmdlineMax()
		}
	}
	if fi, err := req.Image.Stat(); err == nil {
		s.ImageSize = fi.Size()
	}
	return Explain("load", errno, s)
}

// Unload unloads the crash kernel, if one is loaded, and waits like [Load].
func Unload(ctx context.Context, c Caller, sys System) error {
	err := retry(ctx, c.UnloadCrash)
	if err == nil {
		return nil
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("unload the crash kernel: %w", err)
	}
	return Explain("unload", errno, sys.situation())
}

// retry repeats do while it fails with EBUSY, which the kernel gives before it
// has changed anything, or EINTR; until ctx ends.
func retry(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(busyPause):
		}
	}
}
