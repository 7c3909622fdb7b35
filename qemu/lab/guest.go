package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// Where things lie in the guest: where they do on a host.
const (
	guestArm    = "usr/sbin/kdump-arm"
	guestMake   = "usr/sbin/kdump-mkinitramfs"
	guestConfig = "etc/kdump.conf"
	guestState  = "var/lib/gokdump"
)

// guestImage writes the production guest's initramfs: the kernel, the crash
// image, kdump-arm and the modules of a virtio disk with a file system, with the
// script to run.
func (l *Lab) guestImage(path, crashImage, config, fsType string, more []string, s script.Script) error {
	wants := virtioDisk(fsType)
	for _, m := range more {
		wants = append(wants, modules.Want{Name: m, For: "the story"})
	}
	return l.writeGuest(path, s, wants, []guestFile{
		{name: guestArm, from: l.Command("kdump-arm"), mode: 0o755},
		{name: "boot/vmlinuz-" + l.Kernel.Release, from: l.Kernel.Image, mode: 0o644},
		{name: guestState + "/kdump-" + l.Kernel.Release + ".img", from: crashImage, mode: 0o600},
		{name: guestConfig, from: config, mode: 0o644},
	})
}

// virtioDisk is what a guest needs for its disk.
func virtioDisk(fsType string) []modules.Want {
	return []modules.Want{
		{Name: "virtio_pci", For: "the guest's disk"},
		{Name: "virtio_blk", For: "the guest's disk"},
		{Name: fsType, For: "the guest's file system"},
	}
}

// builderImage writes the initramfs of a guest with a network, which builds the
// crash image itself.
func (l *Lab) builderImage(path, config, fsType string, s script.Script) error {
	wants := virtioDisk(fsType)
	for _, m := range []string{"virtio_net", "bonding", "8021q", "nfs", "nfsv4", "nfsv3"} {
		wants = append(wants, modules.Want{Name: m, For: "the guest's network"})
	}
	tree := "lib/modules/" + l.Kernel.Release
	files := []guestFile{
		{name: guestArm, from: l.Command("kdump-arm"), mode: 0o755},
		{name: guestMake, from: l.Command("kdump-mkinitramfs"), mode: 0o755},
		{name: "usr/lib/gokdump/kdump-init-net", from: l.Command("kdump-init-net"), mode: 0o755},
		{name: "boot/vmlinuz-" + l.Kernel.Release, from: l.Kernel.Image, mode: 0o644},
		{name: "boot/config-" + l.Kernel.Release, from: filepath.Join(l.Kernel.Root, "boot/config-"+l.Kernel.Release), mode: 0o644},
		{name: guestConfig, from: config, mode: 0o644},
	}
	for _, name := range []string{"modules.builtin", "modules.builtin.modinfo"} {
		files = append(files, guestFile{name: tree + "/" + name, from: filepath.Join(l.Kernel.Root, tree, name), mode: 0o644})
	}
	mods, err := l.resolve(wants)
	if err != nil {
		return err
	}
	for _, m := range mods {
		files = append(files, guestFile{name: tree + "/kernel/" + m.Name + ".ko", data: m.Data, mode: 0o644})
	}
	return l.writeGuest(path, s, wants, files)
}

// guestFile is a file of the guest's initramfs, and the host's file that it is.
type guestFile struct {
	name, from string
	mode       fs.FileMode
	data       []byte // in place of from
}

// writeGuest writes the initramfs of a guest with modules, in loading order, and
// files.
func (l *Lab) writeGuest(path string, s script.Script, wants []modules.Want, more []guestFile) error {
	mods, err := l.resolve(wants)
	if err != nil {
		return err
	}
	var files []archive.File
	for _, m := range mods {
		name := "modules/" + m.Name + ".ko"
		files = append(files, archive.File{Name: name, Mode: 0o644, Data: m.Data})
		s.Modules = append(s.Modules, "/"+name)
	}
	doc, err := s.Marshal()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	files = append(files, archive.File{Name: script.File[1:], Mode: 0o644, Data: doc})
	for _, c := range append([]guestFile{{name: "init", from: l.Command("guest"), mode: 0o755}}, more...) {
		if c.data == nil {
			var err error
			if c.data, err = os.ReadFile(c.from); err != nil {
				return fmt.Errorf("lab: guest's initramfs: %w", err)
			}
		}
		files = append(files, archive.File{Name: c.name, Mode: c.mode, Data: c.data})
	}
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "run"} {
		files = append(files, archive.File{Name: dir, Mode: fs.ModeDir | 0o755})
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	_, err = archive.Write(f, archive.None, files)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("lab: guest's initramfs: %w", err)
	}
	return nil
}

// resolve gives modules of the kernel with all that they need, in loading order.
func (l *Lab) resolve(wants []modules.Want) ([]*modules.Module, error) {
	if len(wants) == 0 {
		return nil, nil
	}
	tree, err := modules.Open(os.DirFS(l.Kernel.Root), l.Kernel.Release)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	set, err := tree.Resolve(wants)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return set.Modules, nil
}

// Rewrite changes the files of a crash image: edit is given each by name and
// returns its new contents, or nil to leave it out. It is how a test damages an
// image that kdump-mkinitramfs would refuse to build.
func Rewrite(image string, edit func(name string, data []byte) []byte) error {
	in, err := os.Open(image)
	if err != nil {
		return fmt.Errorf("lab: rewrite: %w", err)
	}
	defer in.Close()
	r, err := archive.NewReader(in)
	if err != nil {
		return fmt.Errorf("lab: rewrite %s: %w", image, err)
	}
	defer r.Close()
	var files []archive.File
	for f, err := range entries(r) {
		if err != nil {
			return fmt.Errorf("lab: rewrite %s: %w", image, err)
		}
		if !f.Mode.IsDir() {
			if f.Data = edit(f.Name, f.Data); f.Data == nil {
				continue
			}
		}
		files = append(files, f)
	}
	tmp := filepath.Join(filepath.Dir(image), ".rewritten")
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("lab: rewrite: %w", err)
	}
	_, err = archive.Write(out, r.Compression(), files)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, image)
	}
	if err != nil {
		return fmt.Errorf("lab: rewrite %s: %w", image, err)
	}
	return nil
}
