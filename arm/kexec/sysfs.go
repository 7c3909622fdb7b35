package kexec

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that the running kernel has no crash kexec: it was built
// without CONFIG_CRASH_DUMP or CONFIG_KEXEC_FILE, or sysfs is not mounted.
var ErrUnsupported = errors.New("this kernel shows no crash kexec state under /sys/kernel: it was built without it, or sysfs is not mounted")

// maxSmall bounds the one-line files of sysfs and procfs, in bytes.
const maxSmall = 64 << 10

// System is the running kernel as its files under /sys and /proc show it.
type System struct {
	root string
}

// At gives the system whose /sys and /proc lie under root; "" or "/" is the
// running one.
func At(root string) System { return System{root: root} }

// Path puts an absolute path under the system's root.
func (s System) Path(path string) string { return filepath.Join("/", s.root, path) }

// read gives the first of the named files that exists, without the white space
// around it.
func (s System) read(paths ...string) (string, error) {
	var last error
	for _, p := range paths {
		f, err := os.Open(s.Path(p))
		if err != nil {
			last = err
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return "", err
		}
		b, err := io.ReadAll(io.LimitReader(f, maxSmall))
		f.Close()
		if err != nil {
			return "", fmt.Errorf("read %s: %w", p, err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	return "", last
}

// CrashLoaded tells whether a crash kernel is loaded.
// [ErrUnsupported] when the kernel does not say.
func (s System) CrashLoaded() (bool, error) {
	// The directory is new in Linux 6.19; the older names stay until after 2028.
	text, err := s.read("/sys/kernel/kexec/crash_loaded", "/sys/kernel/kexec_crash_loaded")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, ErrUnsupported
	case err != nil:
		return false, err
	case text == "1":
		return true, nil
	case text == "0":
		return false, nil
	}
	return false, fmt.Errorf("kexec_crash_loaded is %q, want 0 or 1", text)
}

// Reserved is the memory reserved for the crash kernel in bytes, as
// crashkernel= on the running kernel's command line asked for it and the kernel
// could give it; 0 when there is none. [ErrUnsupported] when the kernel does
// not say.
func (s System) Reserved() (uint64, error) {
	text, err := s.read("/sys/kernel/kexec/crash_size", "/sys/kernel/kexec_crash_size")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrUnsupported
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("kexec_crash_size is %q, want a number of bytes", text)
	}
	return n, nil
}

// LoadDisabled tells whether kernel.kexec_load_disabled is set; once set it
// stays until the next boot.
func (s System) LoadDisabled() bool {
	text, err := s.read("/proc/sys/kernel/kexec_load_disabled")
	return err == nil && text == "1"
}

// LoadLimit is how often a crash kernel may still be loaded
// (kernel.kexec_load_limit_panic, Linux 6.3 and later); -1 without limit.
func (s System) LoadLimit() int64 {
	text, err := s.read("/proc/sys/kernel/kexec_load_limit_panic")
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// Lockdown is the kernel's lockdown state: none, integrity or confidentiality;
// "" when securityfs does not say.
func (s System) Lockdown() string {
	text, err := s.read("/sys/kernel/security/lockdown")
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(text, "[")
	state, _, ok2 := strings.Cut(rest, "]")
	if !ok || !ok2 {
		return ""
	}
	return state
}

// MayBoot tells whether this process has CAP_SYS_BOOT, which kexec needs. It
// says true when /proc does not tell: then the kernel decides.
func (s System) MayBoot() bool {
	text, err := s.read("/proc/self/status")
	if err != nil {
		return true
	}
	_, rest, ok := strings.Cut(text, "CapEff:")
	if !ok {
		return true
	}
	line, _, _ := strings.Cut(rest, "\n")
	caps, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return err != nil || caps>>unix.CAP_SYS_BOOT&1 != 0
}

// Forbidden tells why every load would be refused before the kernel looks at the
// files; nil when nothing is known to forbid it.
func (s System) Forbidden() error {
	x := s.situation()
	if x.MayBoot && !x.Disabled && x.Limit != 0 {
		return nil
	}
	return Explain("load", unix.EPERM, x)
}

// FollowsHotplug tells whether the kernel itself keeps the dump's list of
// memory true when memory comes and goes (crash_hotplug, Linux 6.6 and later);
// if not, the crash kernel has to be loaded anew.
func (s System) FollowsHotplug() bool {
	text, err := s.read("/sys/devices/system/memory/crash_hotplug")
	return err == nil && text == "1"
}

// Release is the running kernel's release, as uname -r prints it.
func (s System) Release() (string, error) {
	text, err := s.read("/proc/sys/kernel/osrelease")
	if err == nil && (text == "" || strings.ContainsAny(text, "/ \n")) {
		err = fmt.Errorf("osrelease is %q, which is no kernel release", text)
	}
	return text, err
}

// Region is a range of physical addresses, both ends included.
type Region struct {
	// Start is the first byte's address, End the last one's.
	Start, End uint64
}

// Size is the region's length in bytes.
func (r Region) Size() uint64 { return r.End - r.Start + 1 }

// String gives the region as /proc/iomem writes it.
func (r Region) String() string { return fmt.Sprintf("0x%x-0x%x", r.Start, r.End) }

// maxRegions bounds how many regions of one name /proc/iomem may list.
const maxRegions = 1 << 16

// Regions lists the ranges of /proc/iomem with the given name, for example
// "Crash kernel" or "System RAM", in the file's order. Without CAP_SYS_ADMIN
// the kernel shows every address as 0; such regions are left out.
func (s System) Regions(name string) ([]Region, error) {
	f, err := os.Open(s.Path("/proc/iomem"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseIOMem(f, name)
}

func parseIOMem(r io.Reader, name string) ([]Region, error) {
	var out []Region
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		span, what, ok := strings.Cut(sc.Text(), " : ")
		if !ok || what != name {
			continue
		}
		lo, hi, ok := strings.Cut(strings.TrimSpace(span), "-")
		start, err := strconv.ParseUint(lo, 16, 64)
		end, err2 := strconv.ParseUint(hi, 16, 64)
		if !ok || err != nil || err2 != nil || end < start {
			return nil, fmt.Errorf("/proc/iomem line %d: %q is no range of addresses", n, span)
		}
		if start == 0 && end == 0 {
			continue
		}
		if len(out) == maxRegions {
			return nil, fmt.Errorf("/proc/iomem: more than %d regions named %q", maxRegions, name)
		}
		out = append(out, Region{start, end})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("/proc/iomem: %w", err)
	}
	return out, nil
}
