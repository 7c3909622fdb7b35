package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
)

// peers makes or finds the Debian that the other programs are from.
func peers(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := debian.CacheDir()
	if err != nil {
		return "", err
	}
	packages := append(lab.SystemPackages(), "initramfs-tools", "makedumpfile", "kexec-tools", "kdump-tools", "busybox-static", "zstd")
	return debian.NamedRoot(ctx, cache, lab.SystemSuite+"-kdump-tools", lab.SystemSuite, packages, progress)
}

// busyboxInit is what the small image runs: no more than is needed, so that what is
// measured is makedumpfile.
const busyboxInit = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in %s; do $b insmod $m; done
n=0
while [ ! -b /dev/vda ] && [ $n -lt 200 ]; do $b usleep 50000; n=$((n+1)); done
$b mount -t ext4 /dev/vda /mnt
d=/mnt` + lab.CrashDir + `/peer-1
$b mkdir -p $d
/bin/makedumpfile --dump-dmesg /proc/vmcore $d/vmcore-dmesg.txt
/bin/makedumpfile %s --message-level 1 -d 31 /proc/vmcore $d/vmcore-incomplete && $b mv $d/vmcore-incomplete $d/vmcore
$b sync
$b umount /mnt
$b reboot -f
`

// busyboxImage gives what puts busybox and makedumpfile, with its libraries, into a
// crash image in the place of kdump-init. Modules and plan stay: the modules to
// load them in the same order, the plan for kdump-arm, which takes no image
// without one.
func busyboxImage(base, option string) func(image string) error {
	return func(image string) error {
		files, p, err := entriesOf(image)
		if err != nil {
			return err
		}
		var order []string
		for _, m := range p.Modules {
			order = append(order, m.Path)
		}
		for i := range files {
			if files[i].Name == "init" {
				files[i].Data = fmt.Appendf(nil, busyboxInit, strings.Join(order, " "), option)
			}
		}
		add := map[string]string{
			"bin/busybox": "bin/busybox", "bin/makedumpfile": "usr/bin/makedumpfile",
			"lib64/ld-linux-x86-64.so.2": "lib64/ld-linux-x86-64.so.2",
		}
		for _, lib := range []string{"liblzo2.so.2", "libdw.so.1", "libelf.so.1", "libz.so.1", "libc.so.6", "liblzma.so.5", "libbz2.so.1.0"} {
			add["lib/"+lib] = "lib/x86_64-linux-gnu/" + lib
		}
		dirs := map[string]bool{}
		for name, from := range add {
			data, err := readIn(base, from)
			if err != nil {
				return err
			}
			files = append(files, archive.File{Name: name, Mode: 0o755, Data: data})
			dirs[path.Dir(name)] = true
		}
		for d := range dirs {
			files = append(files, archive.File{Name: d, Mode: fs.ModeDir | 0o755})
		}
		out, err := os.OpenFile(image, os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = archive.Write(out, archive.Gzip, files)
		return errors.Join(err, out.Close())
	}
}

// readIn reads a file of a root; links in it lead to files in it, and a library may
// lie in one of two places.
func readIn(base, name string) ([]byte, error) {
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	data, err := root.ReadFile(name)
	if err == nil {
		return data, nil
	}
	for _, dir := range []string{"usr", ""} { // absolute links, and merged directories
		full := filepath.Join(base, dir, name)
		if link, lerr := os.Readlink(full); lerr == nil && filepath.IsAbs(link) {
			full = filepath.Join(base, link)
		}
		if data, rerr := os.ReadFile(full); rerr == nil {
			return data, nil
		}
	}
	return nil, err
}

func entriesOf(image string) ([]archive.File, *plan.Plan, error) {
	f, err := os.Open(image)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	r, err := archive.NewReader(f)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var files []archive.File
	var p *plan.Plan
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, p, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", image, err)
		}
		if "/"+e.Name == plan.File {
			if p, err = plan.Decode(strings.NewReader(string(e.Data))); err != nil {
				return nil, nil, err
			}
		}
		files = append(files, e)
	}
}
