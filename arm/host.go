package arm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/arm/kexec"
	"github.com/gokdump/gokdump/capture/plan"
)

// Where things lie on a host.
const (
	runDir   = "/run/gokdump"
	stateDir = "/var/lib/gokdump"
)

// ImageInfo is what a crash image says of itself.
type ImageInfo struct {
	// Kernel is the release that the image's plan and modules are for.
	Kernel string
	// Unpacked is the size of the unpacked image in bytes.
	Unpacked uint64
	// Plan is what the image does, nil if that was not asked; Files are the plan's, by
	// their names.
	Plan  *plan.Plan
	Files map[string][]byte
}

// Host is one machine to arm.
type Host struct {
	// Root is where the machine's /proc, /sys, /run, /var and /boot lie; "" is
	// the running machine.
	Root string
	// Kexec makes the system calls.
	Kexec kexec.Caller
	// Inspect reads a crash image. It must end when ctx does.
	Inspect func(ctx context.Context, r io.Reader) (ImageInfo, error)
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// System gives the machine's /sys and /proc.
func (h *Host) System() kexec.System { return kexec.At(h.Root) }

func (h *Host) path(p string) string { return h.System().Path(p) }

func (h *Host) now() time.Time {
	if h.Now != nil {
		return h.Now().UTC()
	}
	return time.Now().UTC()
}

// DefaultKernel is the running kernel's boot image: the first that exists of
// /boot/vmlinuz-RELEASE, vmlinuz in /lib/modules/RELEASE or /usr/lib/modules/RELEASE
// (where Debian has it since Linux 7.0, and Fedora beside the one in /boot), and
// /boot/Image-RELEASE.
func (h *Host) DefaultKernel() (string, error) {
	release, err := h.System().Release()
	if err != nil {
		return "", err
	}
	first := h.path("/boot/vmlinuz-" + release)
	for _, p := range []string{first, h.path("/lib/modules/" + release + "/vmlinuz"), h.path("/usr/lib/modules/" + release + "/vmlinuz"), h.path("/boot/Image-" + release)} {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return first, nil
}

// DefaultImage is where kdump-mkinitramfs puts the image of the running kernel.
func (h *Host) DefaultImage() (string, error) {
	release, err := h.System().Release()
	if err != nil {
		return "", err
	}
	return h.path(stateDir + "/kdump-" + release + ".img"), nil
}

// maxText bounds the files of /proc and /run that are read whole, in bytes.
const maxText = 1 << 20

func (h *Host) readText(path string) (string, error) {
	f, err := os.Open(h.path(path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(b), nil
}

// bootID names this boot; "" when the kernel does not tell.
func (h *Host) bootID() string {
	text, err := h.readText("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// machine gathers what the command line depends on.
func (h *Host) machine() Machine {
	m := Machine{Arch: runtime.GOARCH, BootAPIC: -1}
	if text, err := h.readText("/sys/class/dmi/id/sys_vendor"); err == nil {
		m.Vendor = strings.TrimSpace(text)
	}
	if text, err := h.readText("/proc/cpuinfo"); err == nil {
		m.BootAPIC = bootAPIC(text)
	}
	return m
}

// bootAPIC finds the APIC id of the first CPU in /proc/cpuinfo, which is the one
// that booted; -1 if it is not there.
func bootAPIC(cpuinfo string) int {
	for line := range strings.Lines(cpuinfo) {
		if strings.TrimSpace(line) == "" {
			break // the end of the first CPU
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "initial apicid" {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// memory gives a digest of the machine's RAM ranges, and their sum in bytes.
// The digest changes when memory is plugged in or out; it is "" when the kernel
// does not show the ranges.
func (h *Host) memory() (digest string, bytes uint64) {
	regions, err := h.System().Regions("System RAM")
	if err != nil || len(regions) == 0 {
		return "", 0
	}
	sum := sha256.New()
	for _, r := range regions {
		fmt.Fprintln(sum, r)
		bytes += r.Size()
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), bytes
}

// lockPause is the time between two tries to get the lock.
const lockPause = 100 * time.Millisecond

// lock lets one load or unload run at a time; it waits until ctx ends.
func (h *Host) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(h.path(runDir), 0o755); err != nil {
		return nil, err
	}
	name := h.path(runDir + "/lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, &Problem{
				Text: "another kdump-arm holds " + name,
				Next: "wait for it to end (fuser " + name + " names it) and try again",
				Err:  ctx.Err(),
			}
		case <-time.After(lockPause):
		}
	}
}

// missing tells whether err says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
