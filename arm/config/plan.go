package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
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
	// Lookup gives the addresses of a server's name. Nil leaves names to DNS in the
	// crash kernel.
	Lookup func(name string) ([]netip.Addr, error)
	// Network completes what the configuration says of the network; of nil, it
	// gives the host's own way to servers, and to those of also where there is one.
	Network func(described *plan.Network, servers, also []netip.Addr) (*plan.Network, error)
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
	// Locate gives the path under /dev of a device that is named otherwise. Its
	// error wraps fs.ErrNotExist when this host has none such: the disk may be
	// plugged in later. Nil means that such a device is not looked for.
	Locate func(d plan.Device) (string, error)
	// Raw gives a lasting name of a block device without a file system, if dumps can
	// be written to it. dev is a path under /dev.
	Raw func(dev string) (plan.Device, error)
}

// FS is the identity of a file system.
type FS struct {
	Type string // ext4, xfs, btrfs, ...
	UUID string // as blkid(8) prints it
	// Layers are what the crash kernel must put together to reach it.
	Layers []plan.Layer
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
	for _, f := range c.Files {
		p.Files = append(p.Files, f.Name)
	}
	for _, t := range c.Targets {
		made, err := c.resolve(t, host.Local)
		if err != nil {
			return nil, err
		}
		p.Targets = append(p.Targets, made)
	}
	if len(c.Targets) == 0 {
		t, err := holding(c.Path, host.Local)
		if err != nil {
			return nil, err
		}
		p.Targets = append(p.Targets, t)
	}
	if c.DumpToRootfs {
		t, err := holding(DefaultPath, host.Local)
		if err != nil {
			return nil, fmt.Errorf("failure_action dump_to_rootfs: %w", err)
		}
		if !slices.ContainsFunc(p.Targets, func(o plan.Target) bool { return reflect.DeepEqual(o, t) }) {
			p.Targets = append(p.Targets, t)
		}
	}
	c.after(p)
	if slices.ContainsFunc(p.Targets, plan.Target.Remote) {
		if err := c.network(p, host); err != nil {
			return nil, err
		}
	}
	if err := c.unlock(p); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// network finds out where the servers of p's targets are, and how they are
// reached. Of the one that gets the report it is no error not to know that: the host
// can post it later.
func (c *Config) network(p *plan.Plan, host Host) error {
	var servers []netip.Addr
	for _, t := range p.Targets {
		name, addresses := t.Server()
		if addresses == nil {
			continue
		}
		if a, err := netip.ParseAddr(name); err == nil {
			*addresses = []string{a.String()}
		} else if host.Lookup != nil {
			found, err := host.Lookup(name)
			if err != nil {
				return fmt.Errorf("target %s: %w", t, err)
			}
			for _, a := range found {
				*addresses = append(*addresses, a.String())
			}
		}
		for _, s := range *addresses {
			if a, err := netip.ParseAddr(s); err == nil && !slices.Contains(servers, a) {
				servers = append(servers, a)
			}
		}
	}
	var also []netip.Addr
	if p.Notify != nil {
		also = hookAddresses(p.Notify.URL, host.Lookup)
		for _, a := range also {
			p.Notify.Addresses = append(p.Notify.Addresses, a.String())
		}
	}
	p.Network = c.Network
	if host.Network != nil {
		var err error
		if p.Network, err = host.Network(c.Network, servers, also); err != nil {
			return fmt.Errorf("network: %w", err)
		}
	}
	if p.Network == nil {
		return errors.New("network: the image is for another machine, whose network is not known here: say in " + File + " what it is, as in: network dhcp")
	}
	if c.Network == nil {
		p.Network.Deadlines = c.NetworkDeadlines
		if len(c.DNS) > 0 {
			p.Network.DNS = c.DNS
		}
	}
	return nil
}

// hookAddresses is where the server of a URL is, as far as that is known.
func hookAddresses(hook string, lookup func(string) ([]netip.Addr, error)) []netip.Addr {
	u, err := url.Parse(hook)
	if err != nil {
		return nil
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return []netip.Addr{a}
	}
	if lookup == nil {
		return nil
	}
	found, _ := lookup(u.Hostname()) // without an answer, DNS is asked in the crash kernel
	return found
}

// resolve makes the plan's target out of one that the file names.
func (c *Config) resolve(t Target, local *Local) (plan.Target, error) {
	made := plan.Target{Kind: t.Kind, Path: t.Path}
	if made.Path == "" {
		made.Path = c.Path
	}
	switch t.Kind {
	case plan.KindFS:
		var err error
		made.FSType, made.Options = t.FSType, t.Options
		made.Device, err = c.device(t, local)
		return made, err
	case plan.KindRaw:
		var err error
		made.Path = "" // is where this host puts what it recovers
		made.Device, err = c.rawDevice(t, local)
		return made, err
	case plan.KindNFS:
		export := *t.NFS // the addresses are the plan's
		made.NFS, made.Options = &export, t.Options
		return made, nil
	case plan.KindSSH:
		server := *t.SSH
		made.SSH = &server
		return made, nil
	case plan.KindS3:
		server := *t.S3
		made.S3, made.Path = &server, t.Path // a prefix; none is the bucket itself
		return made, nil
	}
	return made, c.at(t, "target kind %q is not known", t.Kind)
}

// device finds a lasting name for the device that the file names. A kernel name such as /dev/vda1
// becomes a UUID where the host can tell, since disks change places.
func (c *Config) device(t Target, local *Local) (plan.Device, error) {
	none := plan.Device{}
	dev, here, err := c.locate(t, local)
	if err != nil || !here {
		return t.Device, err
	}
	found, err := local.Identify(dev)
	if err != nil {
		return none, c.at(t, "%s %s: %w", t.FSType, t.Device, err)
	}
	if found.Type != t.FSType {
		return none, c.at(t, "%s %s: the device holds %s", t.FSType, t.Device, orUnknown(found.Type))
	}
	d := t.Device
	if d.By == plan.ByPath {
		if found.UUID == "" {
			return none, c.at(t, "%s %s: the file system has no UUID: give it one, or a label, and name it by that", t.FSType, dev)
		}
		d = plan.Device{By: plan.ByUUID, Value: found.UUID}
	}
	d.Layers = found.Layers
	return d, nil
}

// rawDevice is device for one without a file system.
func (c *Config) rawDevice(t Target, local *Local) (plan.Device, error) {
	dev, here, err := c.locate(t, local)
	if err != nil || !here || local.Raw == nil {
		return t.Device, err
	}
	d, err := local.Raw(dev)
	if err != nil {
		return d, c.at(t, "raw %s: %w", t.Device, err)
	}
	return d, nil
}

// locate gives the path of the target's device on this host; here is false when it
// cannot be looked at: then the file's own name for it must do.
func (c *Config) locate(t Target, local *Local) (dev string, here bool, err error) {
	known := local != nil && local.Identify != nil
	switch {
	case t.Device.By == plan.ByPath && known:
		return t.Device.Value, true, nil
	case t.Device.By == plan.ByPath:
		// Only names that devtmpfs itself makes are there in the crash kernel.
		if dev = t.Device.Value; strings.Contains(strings.TrimPrefix(dev, "/dev/"), "/") {
			return "", false, c.at(t, "%s %s is a name that only this host's udev makes: use UUID=, LABEL=, PARTUUID= or PARTLABEL=", t.FSType, dev)
		}
		return dev, false, nil
	case !known || local.Locate == nil:
		return "", false, nil
	}
	dev, err = local.Locate(t.Device)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, c.at(t, "%s: %w", t.Device, err)
	}
	return dev, true, nil
}

// at wraps an error with the place of a target in the file.
func (c *Config) at(t Target, format string, a ...any) error {
	return fmt.Errorf("%s:%d: %w", c.Name, t.Line, fmt.Errorf(format, a...))
}

const nameOne = "name the file system for dumps in " + File + ", as in: ext4 UUID=…"

// holding finds the file system of the running host that holds dir.
func holding(dir string, local *Local) (plan.Target, error) {
	var t plan.Target
	if local == nil || local.Identify == nil {
		return t, errors.New("config: no target is named, and the image is not for the running host: " + nameOne)
	}
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
	t = plan.Target{Kind: plan.KindFS, FSType: m.fstype, Path: path.Join(m.root, strings.TrimPrefix(dir, m.point))}
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
	found, err := local.Identify(dev)
	if err != nil {
		return fail(err)
	}
	if found.UUID == "" {
		return fail(errors.New("the file system has no UUID"))
	}
	t.Device = plan.Device{By: plan.ByUUID, Value: found.UUID, Layers: found.Layers}
	return t, nil
}

func orUnknown(s string) string {
	if s == "" {
		return "nothing that is known"
	}
	return s
}
