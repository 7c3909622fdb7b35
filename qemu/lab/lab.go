// Package lab runs the whole story in a virtual machine: an image is built, a
// production guest arms it and panics, the crash kernel captures, and what it left
// on the disk comes back to the host. The smoke tests and the demonstration are
// thin layers over it.
//
// It owns the guest's initramfs and the order of a story. It never judges a dump;
// package readers opens it and the tests decide. It writes below the folders it is
// given, and below the cache of package debian.
package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
)

// Lab is what all machines of a run share.
type Lab struct {
	// Kernel is what they boot and what crashes.
	Kernel *debian.Kernel
	// Accel is how they run.
	Accel qemu.Accel

	bin string // the compiled commands

	hosts   sync.Mutex      // over the map, and the making of what is in it
	systems map[string]bool // images of hosts that are made
}

// WithKernel is a lab like l whose machines boot another kernel.
func (l *Lab) WithKernel(k *debian.Kernel) *Lab {
	return &Lab{Kernel: k, Accel: l.Accel, bin: l.bin}
}

// module is the path of this module, whose packages New compiles.
const module = "github.com/gokdump/gokdump"

// New compiles the commands into dir/bin, gets the kernel and finds out how
// machines run here. The working directory must be inside the
// module.
func New(ctx context.Context, dir string, progress io.Writer) (*Lab, error) {
	l := &Lab{bin: filepath.Join(dir, "bin")}
	cache, err := debian.CacheDir()
	if err != nil {
		return nil, err
	}
	if l.Kernel, err = debian.CloudKernel(ctx, cache, progress); err != nil {
		return nil, err
	}
	fmt.Fprintln(progress, "compiling")
	if err := compile(ctx, l.bin); err != nil {
		return nil, err
	}
	fmt.Fprintln(progress, "finding out whether KVM works")
	l.Accel = qemu.ProbeKVM(ctx, l.Kernel.Image, filepath.Join(cache, "kvm"))
	return l, nil
}

// Command is the path of a compiled command.
func (l *Lab) Command(name string) string { return filepath.Join(l.bin, name) }

// DiskInit is the kdump-init for raw devices, logical volumes and arrays, as
// [Lab.Command] takes it.
const DiskInit = "kdump-init-disk"

// AgeInit is the one that can encrypt, too.
const AgeInit = "kdump-init-age"

// compile builds the commands and the guest, static, as they are released.
func compile(ctx context.Context, bin string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	for _, args := range [][]string{
		{"-o", bin + "/", module + "/cmd/...", module + "/qemu/guest"},
		{"-tags", "raw,stack", "-o", filepath.Join(bin, DiskInit), module + "/cmd/kdump-init"},
		{"-tags", "raw,stack,age", "-o", filepath.Join(bin, AgeInit), module + "/cmd/kdump-init"},
		{"-tags", "raw,stack,net", "-o", filepath.Join(bin, "kdump-init-net"), module + "/cmd/kdump-init"},
		{"-tags", "raw,stack,net,ssh,s3,age,notify", "-o", filepath.Join(bin, "kdump-init-full"), module + "/cmd/kdump-init"},
	} {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-ldflags", "-s -w"}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("lab: compile: %w\n%s", err, out)
		}
	}
	return nil
}

// buildImage runs kdump-mkinitramfs for config and returns what it printed. The program
// finds the smallest kdump-init that will do, beside itself. root is where the kernel,
// and what kdump.conf names, is.
func (l *Lab) buildImage(ctx context.Context, root, config, image string) (string, error) {
	argv := []string{
		l.Command("kdump-mkinitramfs"), "--root", root, "--kernel", l.Kernel.Release,
		"--config", config, "-o", image, // kdump-init lies beside it
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("lab: %s: %w\n%s", strings.Join(argv, " "), err, out.String())
	}
	return out.String(), nil
}

// rootWith is a root with the kernel in it and files, by path.
func (l *Lab) rootWith(ctx context.Context, dir string, files map[string][]byte) (string, error) {
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	for _, part := range []string{"boot", "lib"} {
		if out, err := exec.CommandContext(ctx, "cp", "-a", filepath.Join(l.Kernel.Root, part), root).CombinedOutput(); err != nil {
			return "", fmt.Errorf("lab: cp: %w\n%s", err, out)
		}
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", fmt.Errorf("lab: %w", err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return "", fmt.Errorf("lab: %w", err)
		}
	}
	return root, nil
}
