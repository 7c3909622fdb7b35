package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

// Maker makes cores.
type Maker struct {
	// Cache is the cache of package debian.
	Cache string
	// Work is a folder for what does not stay.
	Work string
}

const (
	modulePath = "github.com/gokdump/gokdump"
	targetUUID = "b5a2d0c4-6f0e-4d0e-9d53-6b64756d7032"
	kdumpConf  = "ext4 UUID=" + targetUUID + "\npath /crash\nhost matrix\n"
	// crashCmdline is what the crash kernel gets: what kdump-arm gives it, and no
	// look at whether the timer works, which an emulator on a busy host fails.
	crashCmdline = "console=ttyS0,115200 nr_cpus=1 irqpoll reset_devices nokaslr panic=10 cgroup_disable=memory mce=off numa=off udev.children-max=2 transparent_hugepage=never no_timer_check"
)

// Compile builds the commands and the guest into the work folder. The guest and
// kdump-init come out the same whatever the commit is, for their digests name cores.
func (m *Maker) Compile(ctx context.Context) error {
	bin := filepath.Join(m.Work, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("matrix: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", bin+"/", modulePath+"/cmd/...", modulePath+"/qemu/matrix/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("matrix: compile: %w\n%s", err, out)
	}
	return nil
}

// Command is the path of a compiled program.
func (m *Maker) Command(name string) string { return filepath.Join(m.Work, "bin", name) }

func isCloud(release string) bool { return strings.Contains(release, "-cloud-") }

// images writes the guest's initramfs, with the crash image in it.
func (m *Maker) images(ctx context.Context, dir, guest string, k *debian.Kernel, c Case) error {
	crashImage := filepath.Join(dir, "crash.img")
	defer os.Remove(crashImage)
	s := c.Spec
	mods, err := moduleFiles(k, "virtio_pci", "virtio_blk", "ext4", "virtio_balloon")
	if err != nil {
		return err
	}
	if err := m.crashImage(ctx, dir, crashImage, k, c); err != nil {
		return err
	}
	s.Cmdline = crashCmdline
	files := mods
	for _, f := range mods {
		s.Modules = append(s.Modules, "/"+f.Name)
	}
	for name, from := range map[string]string{"init": m.Command("guest"), "vmlinuz": k.Image, "crash.img": crashImage} {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		files = append(files, archive.File{Name: name, Mode: 0o755, Data: data})
	}
	return writeImage(guest, s, files)
}

// crashImage writes the crash kernel's initramfs: the copier as /init and, with
// Capture, the image that kdump-mkinitramfs builds, its /init under another name.
func (m *Maker) crashImage(ctx context.Context, dir, path string, k *debian.Kernel, c Case) error {
	var s spec.Spec
	var files []archive.File
	if c.Capture {
		built, err := m.buildImage(ctx, dir, k)
		if err != nil {
			return err
		}
		for _, f := range built {
			if f.Name == "init" {
				f.Name = "kdump-init"
			}
			files = append(files, f)
		}
		s.Then = "/kdump-init"
	}
	mods, err := moduleFiles(k, "virtio_pci", "virtio_blk")
	if err != nil {
		return err
	}
	for _, f := range mods {
		f.Name = "matrix/" + f.Name
		s.Modules = append(s.Modules, "/"+f.Name)
		files = append(files, f)
	}
	data, err := os.ReadFile(m.Command("guest"))
	if err != nil {
		return err
	}
	return writeImage(path, s, append(files, archive.File{Name: "init", Mode: 0o755, Data: data}))
}

// buildImage runs kdump-mkinitramfs and gives what is in its image.
func (m *Maker) buildImage(ctx context.Context, dir string, k *debian.Kernel) ([]archive.File, error) {
	config, image := filepath.Join(dir, "kdump.conf"), filepath.Join(dir, "kdump.img")
	if err := os.WriteFile(config, []byte(kdumpConf), 0o644); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, m.Command("kdump-mkinitramfs"), "--root", k.Root, "--kernel", k.Release,
		"--config", config, "--init", m.Command("kdump-init"), "-o", image)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	defer os.Remove(image)
	f, err := os.Open(image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := archive.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var files []archive.File
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
}

// moduleFiles are modules and what they need, in loading order.
func moduleFiles(k *debian.Kernel, names ...string) ([]archive.File, error) {
	tree, err := modules.Open(os.DirFS(k.Root), k.Release)
	if err != nil {
		return nil, err
	}
	var wants []modules.Want
	for _, n := range names {
		wants = append(wants, modules.Want{Name: n, For: "the matrix"})
	}
	set, err := tree.Resolve(wants)
	if err != nil {
		return nil, err
	}
	var files []archive.File
	for _, m := range set.Modules {
		files = append(files, archive.File{Name: "mods/" + m.Name + ".ko", Mode: 0o644, Data: m.Data})
	}
	return files, nil
}

// writeImage writes an initramfs with the document in it.
func writeImage(path string, s spec.Spec, files []archive.File) error {
	doc, err := s.Marshal()
	if err != nil {
		return err
	}
	files = append(files, archive.File{Name: spec.File[1:], Mode: 0o644, Data: doc})
	have := map[string]bool{}
	for _, f := range files {
		have[f.Name] = true
	}
	for _, d := range []string{"dev", "proc", "sys", "tmp", "mnt"} {
		if !have[d] {
			files = append(files, archive.File{Name: d, Mode: fs.ModeDir | 0o755})
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = archive.Write(f, archive.None, files)
	return errors.Join(err, f.Close())
}
