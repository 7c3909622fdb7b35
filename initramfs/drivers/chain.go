package drivers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Driver is a driver that is bound to a device on the way to a block device.
type Driver struct {
	// Device is the device's name in sysfs, for messages: 0000:00:04.0, virtio1.
	Device string
	// Name is the driver's name.
	Name string
	// Module is the module that it comes from; empty when sysfs shows none,
	// since it is built into the running kernel.
	Module string
	// Modalias is what the device says of itself, to be matched with
	// modules' aliases; empty when it says nothing.
	Modalias string
}

// StackedError says that a block device is made of others, which the crash kernel
// would have to put together first.
type StackedError struct {
	Name string   // the kernel's name: dm-0
	Kind string   // what it is, for a person
	Over []string // the devices below it, where sysfs tells
	Err  error    // what about it cannot be done; nil when nothing of the kind can
}

// Error says what the device is and what it lies on.
func (e *StackedError) Error() string {
	over := ""
	if len(e.Over) > 0 {
		over = " on " + strings.Join(e.Over, ", ")
	}
	why := "which the crash kernel does not assemble"
	if e.Kind == kindCrypt {
		why = "which the crash kernel does not open: it has no key"
	}
	if e.Err != nil {
		why = e.Err.Error()
	}
	return fmt.Sprintf("%s is %s%s, %s; dumps can go to a disk, a partition, a linear LVM volume, a RAID1 or a LUKS volume", e.Name, e.Kind, over, why)
}

// Unwrap gives what cannot be done.
func (e *StackedError) Unwrap() error { return e.Err }

const kindCrypt = "an encrypted volume"

// Chain gives the drivers from the bus down to block device name (vda1), in the
// order in which they found each other. A device that is made of others is a
// *[StackedError].
func (h Host) Chain(name string) ([]Driver, error) {
	dir, err := filepath.EvalSymlinks(h.sys("class", "block", name))
	if err != nil {
		return nil, fmt.Errorf("block device %s: %w", name, err)
	}
	disk := dir
	if exists(filepath.Join(dir, "partition")) {
		disk = filepath.Dir(dir)
	}
	if err := stacked(disk); err != nil {
		return nil, err
	}
	// With native multipath the disk hangs under a made-up device; the real
	// controllers are linked beside it.
	if group := filepath.Dir(disk); strings.HasPrefix(filepath.Base(group), "nvme-subsys") {
		return h.controllers(group)
	}
	if strings.Contains(disk, "/devices/virtual/") {
		return nil, &StackedError{Name: filepath.Base(disk), Kind: "a virtual device"}
	}
	return h.above(dir)
}

func (h Host) controllers(group string) ([]Driver, error) {
	list, err := os.ReadDir(group)
	if err != nil {
		return nil, err
	}
	var out []Driver
	for _, e := range list {
		if e.Type()&fs.ModeSymlink == 0 || !strings.HasPrefix(e.Name(), "nvme") {
			continue
		}
		dir, err := filepath.EvalSymlinks(filepath.Join(group, e.Name()))
		if err != nil {
			return nil, err
		}
		chain, err := h.above(dir)
		if err != nil {
			return nil, err
		}
		out = append(out, chain...)
	}
	return out, nil
}

// above collects the bound drivers of dir and all devices above it.
func (h Host) above(dir string) ([]Driver, error) {
	top, err := filepath.EvalSymlinks(h.sys("devices"))
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(dir, top+"/") {
		return nil, fmt.Errorf("%s is not a device under %s", dir, top)
	}
	var out []Driver
	for ; dir != top; dir = filepath.Dir(dir) {
		drv, err := filepath.EvalSymlinks(filepath.Join(dir, "driver"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d := Driver{Device: filepath.Base(dir), Name: filepath.Base(drv), Modalias: line(filepath.Join(dir, "modalias"))}
		if mod, err := filepath.EvalSymlinks(filepath.Join(drv, "module")); err == nil {
			d.Module = filepath.Base(mod)
		}
		out = append(out, d)
	}
	slices.Reverse(out)
	return out, nil
}

// stacked refuses device mapper, md, and loop devices, by what sysfs shows of each.
func stacked(disk string) error {
	kind := ""
	switch {
	case exists(filepath.Join(disk, "dm")):
		kind = "a device-mapper device"
		for prefix, k := range map[string]string{"LVM-": "an LVM volume", "CRYPT-": kindCrypt, "mpath-": "a multipath device"} {
			if strings.HasPrefix(line(filepath.Join(disk, "dm", "uuid")), prefix) {
				kind = k
			}
		}
	case exists(filepath.Join(disk, "md")):
		kind = "a software RAID"
	case exists(filepath.Join(disk, "loop")) || strings.HasPrefix(filepath.Base(disk), "loop"):
		kind = "a loop device"
	default:
		return nil
	}
	e := &StackedError{Name: filepath.Base(disk), Kind: kind}
	if list, err := os.ReadDir(filepath.Join(disk, "slaves")); err == nil {
		for _, s := range list {
			e.Over = append(e.Over, s.Name())
		}
	}
	return e
}

// Watchdog gives the drivers of the first hardware watchdog, in the order of
// [Host.Chain]; nil when the host has none. A watchdog that runs must be fed in the
// crash kernel too, or it resets the machine in the middle of a dump.
func (h Host) Watchdog() ([]Driver, error) {
	dir, err := filepath.EvalSymlinks(h.sys("class", "watchdog", "watchdog0", "device"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // none, or one in software, which does not outlive its kernel
	}
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	return h.above(dir)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// line reads a one-line attribute; one that is absent or unreadable is empty.
func line(name string) string {
	b, err := os.ReadFile(name)
	if err != nil || len(b) > 4096 {
		return ""
	}
	return strings.TrimSpace(string(b))
}
