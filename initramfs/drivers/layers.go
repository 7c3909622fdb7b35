package drivers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/luks"
	"github.com/gokdump/gokdump/initramfs/lvm2"
	"github.com/gokdump/gokdump/initramfs/mdraid"
)

// Stack is what a block device is made of.
type Stack struct {
	// Layers are to be put together in this order; none for a disk or a partition.
	Layers []plan.Layer
	// Disks are the kernel's names of the disks and partitions below all.
	Disks []string
}

// Stack takes the block device called name (dm-0) apart. The error is a *[StackedError]
// when the crash kernel could not put it together again: it can linear logical volumes
// of LVM, RAID1, and with its key a volume of LUKS.
func (h Host) Stack(name string) (Stack, error) {
	var s Stack
	err := h.stack(&s, name, 0)
	return s, err
}

func (h Host) stack(s *Stack, name string, depth int) error {
	dir, err := filepath.EvalSymlinks(h.sys("class", "block", name))
	if err != nil {
		return fmt.Errorf("block device %s: %w", name, err)
	}
	disk := dir
	if exists(filepath.Join(dir, "partition")) {
		disk = filepath.Dir(dir)
	}
	if !exists(filepath.Join(disk, "dm")) && !exists(filepath.Join(disk, "md")) {
		if err := stacked(disk); err != nil { // a loop device
			return err
		}
		if !slices.Contains(s.Disks, name) {
			s.Disks = append(s.Disks, name)
		}
		return nil
	}
	refuse := func(err error) error {
		e := stacked(disk).(*StackedError)
		e.Err = err
		return e
	}
	below := names(filepath.Join(disk, "slaves"))
	if depth == plan.MaxLayers || len(below) == 0 {
		return refuse(nil)
	}
	l, err := plan.Layer{}, error(nil)
	if exists(filepath.Join(disk, "md")) {
		l, err = h.arrayLayer(disk, below)
	} else if uuid := line(filepath.Join(disk, "dm", "uuid")); strings.HasPrefix(uuid, "LVM-") {
		l, err = h.volumeLayer(uuid, below)
	} else if strings.HasPrefix(uuid, "CRYPT-LUKS") {
		l, err = h.cryptLayer(disk, uuid, below)
	} else {
		return refuse(nil)
	}
	if err != nil {
		return refuse(err)
	}
	for _, b := range below {
		if err := h.stack(s, b, depth+1); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(s.Layers, func(o plan.Layer) bool { return o.UUID == l.UUID }) {
		s.Layers = append(s.Layers, l)
	}
	return nil
}

// volumeLayer describes the logical volume with the device mapper's uuid, and proves
// from the group's own metadata that it is linear: what lies below it does not tell.
func (h Host) volumeLayer(uuid string, below []string) (plan.Layer, error) {
	id := strings.TrimPrefix(uuid, "LVM-")
	if len(id) != 64 {
		return plan.Layer{}, fmt.Errorf("part of another volume (%s)", uuid)
	}
	l := plan.Layer{Kind: plan.LayerLVM, Group: id[:32], UUID: id[32:]}
	leaves, err := h.beneath(below, 0)
	if err != nil {
		return l, err
	}
	var newest *lvm2.Group
	var errs []error
	for _, b := range leaves {
		v, err := readAs(h, b, func(f *os.File, _ int64) (*lvm2.Volume, error) { return lvm2.ReadVolume(f) })
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b, err))
			continue
		}
		if g, err := lvm2.ParseGroup(v.Text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b, err))
		} else if g.ID == l.Group && (newest == nil || g.Seqno > newest.Seqno) {
			newest = g
		}
	}
	if newest == nil {
		return l, fmt.Errorf("the metadata of its group cannot be read: %w", errors.Join(errs...))
	}
	name, err := newest.Find(l.UUID)
	if err != nil {
		return l, err
	}
	l.Name = newest.Name + "/" + name
	_, err = newest.Linear(name)
	return l, err
}

// beneath goes down from logical volumes to what is none.
func (h Host) beneath(list []string, depth int) ([]string, error) {
	var out []string
	for _, n := range list {
		dir := h.sys("class", "block", n)
		if !strings.HasPrefix(line(filepath.Join(dir, "dm", "uuid")), "LVM-") {
			out = append(out, n)
			continue
		}
		if depth > 8 {
			return nil, errors.New("too many devices on each other")
		}
		more, err := h.beneath(names(filepath.Join(dir, "slaves")), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// cryptLayer describes the LUKS volume with the device mapper's uuid, without its key.
func (h Host) cryptLayer(disk, uuid string, below []string) (plan.Layer, error) {
	l := plan.Layer{Kind: plan.LayerLUKS, Name: line(filepath.Join(disk, "dm", "name"))}
	if len(below) != 1 {
		return l, fmt.Errorf("on %d devices", len(below))
	}
	v, err := readAs(h, below[0], func(f *os.File, _ int64) (*luks.Volume, error) { return luks.Read(f) })
	if err != nil {
		return l, fmt.Errorf("%s: %w", below[0], err)
	}
	if !strings.Contains(uuid, "-"+strings.ReplaceAll(v.UUID, "-", "")+"-") {
		return l, fmt.Errorf("%s holds another volume, %s", below[0], v.UUID)
	}
	l.UUID = v.UUID
	l.Crypt = &plan.Crypt{Cipher: luks.Cipher, Offset: v.Offset, Tweak: v.Tweak, SectorSize: v.SectorSize}
	return l, nil
}

// Unlock gives the key of a LUKS volume of this host, by the text of a key file.
func (h Host) Unlock(ctx context.Context, l plan.Layer, secret []byte) ([]byte, error) {
	f := &blkid.Finder{Sys: h.sys("class", "block"), Dev: h.dev()}
	seen, err := f.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range seen {
		if len(s.Infos) != 1 || s.Infos[0].Type != "crypto_LUKS" || s.Infos[0].UUID != l.UUID {
			continue
		}
		return readAs(h, s.Name, func(f *os.File, _ int64) ([]byte, error) {
			v, err := luks.Read(f)
			if err != nil {
				return nil, err
			}
			return v.Key(f, secret)
		})
	}
	return nil, fmt.Errorf("%w: LUKS volume %s", blkid.ErrNotFound, l.UUID)
}

func (h Host) arrayLayer(disk string, below []string) (plan.Layer, error) {
	l := plan.Layer{Kind: plan.LayerMD, Name: filepath.Base(disk)}
	if level := line(filepath.Join(disk, "md", "level")); level != "raid1" {
		return l, fmt.Errorf("of level %s, and only raid1 can be assembled", level)
	}
	if v := line(filepath.Join(disk, "md", "metadata_version")); strings.Contains(v, "external") || v == "none" {
		return l, fmt.Errorf("with metadata that is not the kernel's own (%s)", v)
	}
	for _, b := range below {
		s, err := readAs(h, b, func(f *os.File, size int64) (*mdraid.Super, error) { return mdraid.Read(f, size) })
		if err != nil {
			return l, fmt.Errorf("member %s: %w", b, err)
		}
		l.UUID = s.UUID
		if state := line(filepath.Join(disk, "md", "dev-"+b, "state")); strings.Contains(state, "in_sync") {
			l.Members = append(l.Members, s.Member)
		}
	}
	if len(l.Members) == 0 {
		return l, errors.New("none of its members is in sync")
	}
	slices.Sort(l.Members)
	return l, nil
}

// readAs opens block device name and reads something of it.
func readAs[T any](h Host, name string, read func(f *os.File, size int64) (T, error)) (T, error) {
	var none T
	f, err := os.Open(h.dev(strings.ReplaceAll(name, "!", "/")))
	if err != nil {
		return none, err
	}
	defer f.Close()
	size, err := sectors(h.sys("class", "block", name, "size"))
	if err != nil {
		return none, err
	}
	return read(f, size*512)
}

func sectors(attr string) (n int64, err error) {
	if _, err := fmt.Sscan(line(attr), &n); err != nil {
		return 0, fmt.Errorf("%s: %w", attr, err)
	}
	return n, nil
}

// names lists a directory; one that is absent is empty.
func names(dir string) []string {
	list, _ := os.ReadDir(dir)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}
