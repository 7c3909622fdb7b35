// Package assemble puts together in the crash kernel what the dump's device is made
// of: logical volumes and encrypted ones, by way of the device mapper, and arrays, by way of
// the array driver, without lvm2, cryptsetup and mdadm.
//
// It owns the calls to both drivers and the decision when there is enough to start.
// What a volume or an array consists of is read from the disks at that moment, never
// taken from the plan: between arming and the crash it may have been moved or resized.
// It never writes to a device itself, never repairs, and never starts an array of which
// only an outdated member may be left.
//
// Facts: include/uapi/linux/dm-ioctl.h, include/uapi/linux/raid/md_u.h, md(4),
// Documentation/admin-guide/md.rst (start_ro, new_array, sync_action),
// Documentation/ABI/testing/sysfs-block-dm.
package assemble

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/lvm2"
	"github.com/gokdump/gokdump/initramfs/mdraid"
)

// DefaultGrace is how long an array's missing members are waited for.
const DefaultGrace = 10 * time.Second

// Builder finds a plan's device and makes it first where it is made of others. The
// zero value works on the running system. It is for one goroutine.
type Builder struct {
	// Finder looks for devices; nil means a zero one.
	Finder *blkid.Finder
	// Sys and Dev are sysfs and devtmpfs; empty means /sys and /dev.
	Sys, Dev string
	// Files is where the image's files lie; empty means [plan.FileDir].
	Files string
	// Grace bounds the wait for an array's missing members: [DefaultGrace] when 0,
	// and never more than a third of what the search's context leaves.
	Grace time.Duration
	// Say is told what is put together; may be nil.
	Say func(format string, a ...any)

	since map[string]time.Time // when the first member of an array was seen
	grace time.Duration        // settled at the first search

	// The drivers; nil for the kernel's. For tests.
	linear func(name, uuid string, lines []Linear) error
	crypt  func(name, uuid string, line dmLine) error
	array  func(major, minor int, members []string) (string, error)
}

// Find does what [blkid.Finder.Find] does, after putting together d's layers as far
// as that can be done now.
func (b *Builder) Find(ctx context.Context, d plan.Device) (string, []blkid.Seen, error) {
	if b.Finder == nil {
		b.Finder = &blkid.Finder{}
	}
	if b.since == nil {
		b.since, b.grace = map[string]time.Time{}, cmp.Or(b.Grace, DefaultGrace)
		if end, ok := ctx.Deadline(); ok {
			b.grace = min(b.grace, time.Until(end)/3)
		}
	}
	top := ""
	for _, l := range d.Layers {
		seen, err := b.Finder.List(ctx)
		if err != nil {
			return "", seen, err
		}
		name, err := b.layer(l, seen)
		if err != nil {
			return "", seen, &blkid.Pending{Layer: l, Err: err}
		}
		top = name
	}
	if d.By == plan.ByLayer {
		d = plan.Device{By: plan.ByPath, Value: "/dev/" + top}
	}
	return b.Finder.Find(ctx, d)
}

// layer gives the kernel's name of the device that l describes, and makes it when it
// is not there.
func (b *Builder) layer(l plan.Layer, seen []blkid.Seen) (string, error) {
	switch l.Kind {
	case plan.LayerMD:
		return b.md(l, seen)
	case plan.LayerLUKS:
		return b.luks(l, seen)
	}
	return b.lvm(l, seen)
}

func (b *Builder) lvm(l plan.Layer, seen []blkid.Seen) (string, error) {
	uuid := "LVM-" + l.Group + l.UUID
	for _, s := range seen {
		if b.attribute(s.Name, "dm/uuid") == uuid && s.Size > 0 {
			return s.Name, nil
		}
	}
	group, paths, err := physical(l, seen)
	if err != nil {
		return "", err
	}
	volume, err := group.Find(l.UUID)
	if err != nil {
		return "", err
	}
	pieces, err := group.Linear(volume)
	if err != nil {
		return "", err
	}
	var lines []Linear
	for _, p := range pieces {
		var on blkid.Seen
		switch there := paths[p.PV]; len(there) {
		case 0:
			return "", fmt.Errorf("physical volume %s is not there", p.PV)
		case 1:
			on = there[0]
		default:
			return "", fmt.Errorf("%w: %s and %s are both physical volume %s", blkid.ErrAmbiguous, there[0].Path, there[1].Path, p.PV)
		}
		number := b.attribute(on.Name, "dev")
		if end := int64(p.Offset+p.Length) * 512; end > on.Size || number == "" {
			return "", fmt.Errorf("physical volume %s on %s ends at byte %d, the logical volume needs it up to %d", p.PV, on.Path, on.Size, end)
		}
		lines = append(lines, Linear{Start: p.Start, Length: p.Length, Device: number, Offset: p.Offset})
	}
	name := dmName(group.Name, volume)
	make := b.linear
	if make == nil {
		make = func(name, uuid string, lines []Linear) error { return makeLinear(b.dev(), name, uuid, lines) }
	}
	if err := make(name, uuid, lines); err != nil {
		return "", err
	}
	b.say("%s assembled from %d pieces, metadata %d", l, len(lines), group.Seqno)
	return b.made("dm/uuid", uuid)
}

// physical reads the physical volumes of l's group: the newest metadata among them,
// and the devices by the volumes' ids. Several devices may have one id: paths to a disk, or
// copies; that matters only where it is one that the logical volume lies on.
func physical(l plan.Layer, seen []blkid.Seen) (*lvm2.Group, map[string][]blkid.Seen, error) {
	var newest *lvm2.Group
	var errs []error
	on := map[string][]blkid.Seen{}
	for _, s := range seen {
		if len(s.Infos) != 1 || s.Infos[0].Type != "LVM2_member" {
			continue
		}
		v, err := readVolume(s)
		if v == nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Path, err))
			continue
		}
		on[v.ID] = append(on[v.ID], s)
		if err != nil { // it holds none, and others do
			continue
		}
		if g, err := lvm2.ParseGroup(v.Text); err == nil && g.ID == l.Group && (newest == nil || g.Seqno > newest.Seqno) {
			newest = g
		}
	}
	if newest == nil {
		return nil, nil, errors.Join(append(errs, fmt.Errorf("no physical volume of group %s is there", l.Group))...)
	}
	return newest, on, nil
}

func readVolume(s blkid.Seen) (*lvm2.Volume, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return lvm2.ReadVolume(f)
}

// member is a member of an array that is there.
type member struct {
	*mdraid.Super
	seen blkid.Seen
}

func (b *Builder) md(l plan.Layer, seen []blkid.Seen) (string, error) {
	var have []member
	var errs []error
	for _, s := range seen {
		if len(s.Infos) != 1 || s.Infos[0].Type != "linux_raid_member" || !strings.EqualFold(s.Infos[0].UUID, l.UUID) {
			continue
		}
		if i := slices.IndexFunc(s.Holders, isArray); i >= 0 {
			return s.Holders[i], nil
		}
		super, err := readSuper(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Path, err))
			continue
		}
		if super.Level != 1 {
			return "", fmt.Errorf("it is of RAID level %d, and only RAID1 can be assembled", super.Level)
		}
		if super.Role >= 0 {
			have = append(have, member{super, s})
		}
	}
	if err := b.enough(l, have); err != nil {
		return "", errors.Join(append(errs, err)...)
	}
	// The newest first: the kernel measures the others by it, and leaves out who
	// lags behind.
	slices.SortStableFunc(have, func(x, y member) int { return cmp.Compare(y.Events, x.Events) })
	var numbers []string
	for _, m := range have {
		if m.Major == have[0].Major && m.Minor == have[0].Minor {
			numbers = append(numbers, b.attribute(m.seen.Name, "dev"))
		}
	}
	run := b.array
	if run == nil {
		run = func(major, minor int, members []string) (string, error) {
			return runArray(b.sys(), b.dev(), major, minor, members)
		}
	}
	name, err := run(have[0].Major, have[0].Minor, numbers)
	if err != nil {
		return "", err
	}
	b.say("%s started as %s with %s members, metadata %s", l, name, b.inUse(name, len(numbers)), have[0].Version())
	return name, nil
}

// inUse says how many of an array's members it runs with: the driver leaves out those
// that lag behind the others. added is what it was given, where it does not tell.
func (b *Builder) inUse(name string, added int) string {
	all, err := strconv.Atoi(b.attribute(name, "md/raid_disks"))
	missing, merr := strconv.Atoi(b.attribute(name, "md/degraded"))
	if err != nil || merr != nil {
		return strconv.Itoa(added)
	}
	return fmt.Sprintf("%d of %d", all-missing, all)
}

// enough tells whether the array can be started: when all its members are there, or
// when some are and the others had their time.
func (b *Builder) enough(l plan.Layer, have []member) error {
	known := 0
	for _, m := range have {
		if slices.Contains(l.Members, m.Member) {
			known++
		}
	}
	if len(have) > 0 && b.since[l.UUID].IsZero() {
		b.since[l.UUID] = time.Now()
	}
	switch {
	case known == len(l.Members):
		return nil
	case len(have) == 0:
		return errors.New("none of its members is there")
	case time.Since(b.since[l.UUID]) < b.grace:
		return fmt.Errorf("%d of %d members are there", known, len(l.Members))
	case known == 0:
		return fmt.Errorf("%d members are there, but none that was in use when the machine was armed: they may be outdated", len(have))
	}
	return nil
}

func readSuper(s blkid.Seen) (*mdraid.Super, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mdraid.Read(f, s.Size)
}

// made looks for the device whose attribute has the value.
func (b *Builder) made(attribute, value string) (string, error) {
	list, err := os.ReadDir(b.sys("class/block"))
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if b.attribute(e.Name(), attribute) == value {
			return e.Name(), nil
		}
	}
	return "", fmt.Errorf("it was made, and sysfs shows no device with %s %s", attribute, value)
}

// attribute reads a device's attribute in sysfs; "" when there is none.
func (b *Builder) attribute(name, attr string) string {
	text, err := os.ReadFile(b.sys("class/block", name, attr))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (b *Builder) sys(elem ...string) string {
	return filepath.Join(append([]string{cmp.Or(b.Sys, "/sys")}, elem...)...)
}

func (b *Builder) files() string { return cmp.Or(b.Files, plan.FileDir) }

func (b *Builder) dev() string { return cmp.Or(b.Dev, "/dev") }

func (b *Builder) say(format string, a ...any) {
	if b.Say != nil {
		b.Say(format, a...)
	}
}
