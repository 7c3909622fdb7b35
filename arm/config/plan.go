package config

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// Host is what a plan must know about the machine it is for.
type Host struct {
	// Name is the machine's name (uname -n); the configuration's host word wins.
	Name string
	// Release is the crash kernel's release (uname -r).
	Release string
	// Local answers questions about the running host; nil when the plan is for
	// another machine, as with --root.
	Local *Local
}

// Local is what the running host knows about its own file systems.
type Local struct {
	// MountInfo is the text of /proc/self/mountinfo.
	MountInfo []byte
	// Resolve gives path without symbolic links, as far as it exists. Nil means
	// that paths are taken as they are.
	Resolve func(path string) (string, error)
	// Identify says what file system a block device holds. dev is "MAJOR:MINOR"
	// or a path under /dev. A device that the crash kernel could not
	// reach by itself (dm, md, loop) is an error which says so.
	Identify func(dev string) (FS, error)
}

// FS is the identity of a file system.
type FS struct {
	Type string // ext4, xfs, btrfs, ...
	UUID string // as blkid(8) prints it
}

// Plan turns c into the plan for host, whole except for its modules, which
// initramfs.Build fills in. The result passes [plan.Plan.Validate].
func (c *Config) Plan(host Host) (*plan.Plan, error) {
	p := &plan.Plan{
		Version:       plan.Version,
		Host:          c.Host,
		Kernel:        host.Release,
		Dump:          plan.Dump{Level: c.Level, Codec: c.Codec, Workers: c.Workers},
		Deadlines:     c.Deadlines,
		FailureAction: c.FailureAction,
		FinalAction:   c.FinalAction,
	}
	if p.Host == "" {
		p.Host = host.Name
	}
	var err error
	if c.Target.FSType != "" {
		p.Target, err = c.named(host.Local)
	} else {
		p.Target, err = c.holding(host.Local)
	}
	if err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// named resolves the target that the file names. A kernel name such as /dev/vda1
// becomes a UUID where the host can tell, since disks change places.
func (c *Config) named(local *Local) (plan.Target, error) {
	t := plan.Target{FSType: c.Target.FSType, Device: c.Target.Device, Path: c.Path}
	if t.Device.By != plan.ByPath {
		return t, nil
	}
	dev := t.Device.Value
	if local == nil || local.Identify == nil {
		// Only names that devtmpfs itself makes are there in the crash kernel.
		if strings.Contains(strings.TrimPrefix(dev, "/dev/"), "/") {
			return t, c.at("%s %s is a name that only this host's udev makes: name the file system by UUID= or LABEL=", t.FSType, dev)
		}
		return t, nil
	}
	fs, err := local.Identify(dev)
	if err != nil {
		return t, c.at("%s %s: %w", t.FSType, dev, err)
	}
	if fs.Type != t.FSType {
		return t, c.at("%s %s: the device holds %s", t.FSType, dev, orUnknown(fs.Type))
	}
	if fs.UUID == "" {
		return t, c.at("%s %s: the file system has no UUID: give it one, or a label, and name it by that", t.FSType, dev)
	}
	t.Device = plan.Device{By: plan.ByUUID, Value: fs.UUID}
	return t, nil
}

// at wraps an error with the place of the target in the file.
func (c *Config) at(format string, a ...any) error {
	return fmt.Errorf("%s:%d: %w", c.Name, c.Target.Line, fmt.Errorf(format, a...))
}

const nameOne = "name the file system for dumps in " + File + ", as in: ext4 UUID=…"

// holding finds the file system of the running host that holds c.Path.
func (c *Config) holding(local *Local) (plan.Target, error) {
	var t plan.Target
	if local == nil || local.Identify == nil {
		return t, errors.New("config: no target is named, and the image is not for the running host: " + nameOne)
	}
	dir := c.Path
	if local.Resolve != nil {
		real, err := local.Resolve(dir)
		if err != nil {
			return t, fmt.Errorf("config: path %s: %w", dir, err)
		}
		dir = real
	}
	mounts, err := parseMountInfo(local.MountInfo)
	if err != nil {
		return t, err
	}
	m, ok := mountOf(mounts, dir)
	if !ok {
		return t, fmt.Errorf("config: path %s: no mount of this host holds it: %s", dir, nameOne)
	}
	fail := func(err error) (plan.Target, error) {
		return t, fmt.Errorf("config: path %s is on %s (%s, mounted at %s): %w: %s", dir, m.source, m.fstype, m.point, err, nameOne)
	}
	t = plan.Target{FSType: m.fstype, Path: path.Join(m.root, strings.TrimPrefix(dir, m.point))}
	dev := m.device
	switch m.fstype {
	case "ext4", "xfs":
	case "ext2", "ext3":
		t.FSType = "ext4" // its driver mounts both
	case "btrfs":
		// The mount's device number is made up; and its root is a path from the top
		// level of the file system, through subvolumes, so mount that.
		dev = m.source
		t.Options = "subvolid=5"
	default:
		return fail(errors.New("dumps cannot be saved there"))
	}
	fs, err := local.Identify(dev)
	if err != nil {
		return fail(err)
	}
	if fs.UUID == "" {
		return fail(errors.New("the file system has no UUID"))
	}
	t.Device = plan.Device{By: plan.ByUUID, Value: fs.UUID}
	return t, nil
}

func orUnknown(s string) string {
	if s == "" {
		return "nothing that is known"
	}
	return s
}
