package matrix

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

// Core is a machine's memory after its panic, in the cache.
type Core struct {
	Kernel *debian.Kernel
	Case   Case
	// Dir holds what the machine left.
	Dir string
	// Path is the ELF file, a byte for byte copy of /proc/vmcore.
	Path string
	// Captured is the directory that kdump-init left, empty where the case has
	// none.
	Captured string
}

// machineTime bounds a machine: many times what it takes on two cores, for others may be at work there.
const machineTime = 20 * time.Minute

// Core gives the core of a case from the cache, or crashes a machine for it.
func (m *Maker) Core(ctx context.Context, k *debian.Kernel, c Case, progress io.Writer) (*Core, error) {
	key, err := m.key(k, c)
	if err != nil {
		return nil, err
	}
	core := &Core{Kernel: k, Case: c, Dir: filepath.Join(m.Cache, "cores", key)}
	core.Path = filepath.Join(core.Dir, "vmcore")
	if c.Capture {
		core.Captured = filepath.Join(core.Dir, "captured")
	}
	if _, err := os.Stat(core.Dir); err == nil {
		return core, nil
	}
	parent := filepath.Dir(core.Dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	tmp, err := os.MkdirTemp(parent, ".part-")
	if err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := m.crash(ctx, tmp, k, c, progress); err != nil {
		// The console is the evidence.
		keep := filepath.Join(m.Work, key+".console.log")
		_ = os.Rename(filepath.Join(tmp, "console.log"), keep)
		return nil, fmt.Errorf("matrix: %s, %s: %w (console: %s)", k.Release, c.Name, err, keep)
	}
	// Cores of the same machine by older programs, or by kernels that this one
	// took the place of, only take room.
	for _, pattern := range superseded(k, c) {
		old, _ := filepath.Glob(filepath.Join(parent, pattern))
		for _, dir := range old {
			if err := os.RemoveAll(dir); err != nil {
				return nil, fmt.Errorf("matrix: %w", err)
			}
		}
	}
	if err := os.Rename(tmp, core.Dir); err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	return core, nil
}

// superseded are patterns of the names of cores that a new one of k takes the place
// of: those of the same case by any kernel of the same row of [Kernels].
func superseded(k *debian.Kernel, c Case) []string {
	patterns := []string{filepath.Base(k.Root) + "." + c.Name + ".*"}
	for _, s := range Kernels {
		if strings.HasPrefix(k.Release, s.Prefix) && strings.HasSuffix(k.Release, "-"+s.Flavour) {
			patterns = append(patterns, s.Prefix+"*-"+s.Flavour+"_*."+c.Name+".*")
		}
	}
	return patterns
}

// key names a core: kernel, case, and a digest of what makes it.
func (m *Maker) key(k *debian.Kernel, c Case) (string, error) {
	h := sha256.New()
	programs := []string{"guest"}
	if c.Capture {
		programs = append(programs, "kdump-init", "kdump-mkinitramfs")
	}
	for _, p := range programs {
		b, err := os.ReadFile(m.Command(p))
		if err != nil {
			return "", fmt.Errorf("matrix: %w", err)
		}
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	doc, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("matrix: %w", err)
	}
	h.Write(doc)
	return fmt.Sprintf("%s.%s.%.6x", filepath.Base(k.Root), c.Name, h.Sum(nil)), nil
}

// sizeLine matches whole lines only: the console comes in pieces.
var sizeLine = regexp.MustCompile(regexp.QuoteMeta(spec.Marker) + "(?:" + regexp.QuoteMeta(spec.CoreSize) + `(\d+)|` + regexp.QuoteMeta(spec.Failed) + "[^\r\n]*)[\r\n]")

// crash plays the crash of a case in dir and leaves vmcore, console.log and, with
// Capture, captured there.
func (m *Maker) crash(ctx context.Context, dir string, k *debian.Kernel, c Case, progress io.Writer) error {
	fmt.Fprintf(progress, "%s, %s: building its images\n", k.Release, c.Name)
	guest, raw, target := filepath.Join(dir, "guest.img"), filepath.Join(dir, "vmcore"), filepath.Join(dir, "target.img")
	if err := m.images(ctx, dir, guest, k, c); err != nil {
		return err
	}
	disk := qemu.Disk{SizeMiB: int64(c.MemoryMiB) + 64}
	if err := disk.Make(ctx, raw); err != nil {
		return err
	}
	disk = qemu.Disk{SizeMiB: 512, FSType: "ext4", UUID: targetUUID}
	if err := disk.Make(ctx, target); err != nil {
		return err
	}
	// A socket's path must be short.
	sockets, err := os.MkdirTemp("", "gokdump-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sockets)
	monitor := filepath.Join(sockets, "qmp")
	opts := qemu.Opts{
		Kernel: k.Image, Initrd: guest, Append: "no_timer_check panic=30 crashkernel=" + reserve(k) + " " + c.Append,
		MemoryMiB: c.MemoryMiB, CPU: c.CPU, Accel: qemu.TCG,
		Drives:  []qemu.Drive{{Path: raw}, {Path: target}},
		Timeout: machineTime, Log: filepath.Join(dir, "console.log"), Tee: progress,
		Extra: append(qemu.QMPArgs(monitor), "-device", "virtio-balloon-pci"),
	}
	if c.Machine != "" {
		opts.Extra = append(opts.Extra, "-machine", c.Machine)
	}
	vm, err := qemu.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer vm.Close()
	if c.Spec.BalloonMiB > 0 {
		if err := vm.Expect(ctx, spec.Marker+spec.Inflate); err != nil {
			return err
		}
		if err := inflate(ctx, monitor, int64(c.MemoryMiB-c.Spec.BalloonMiB)<<20); err != nil {
			return err
		}
	}
	line, err := vm.ExpectMatch(ctx, sizeLine)
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(sizeLine.FindStringSubmatch(line)[1], 10, 64)
	if err != nil {
		return errors.New(strings.TrimSpace(line))
	}
	if err := vm.Wait(ctx); err != nil {
		return err
	}
	if err := vm.Close(); err != nil {
		return err
	}
	if err := os.Truncate(raw, size); err != nil {
		return err
	}
	if c.Capture {
		if err := extract(ctx, target, dir); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(guest), os.Remove(target))
}

// extract takes the one directory that kdump-init left off the disk.
func extract(ctx context.Context, image, dir string) error {
	if err := qemu.CheckExt4(ctx, image); err != nil {
		return err
	}
	to := filepath.Join(dir, "disk")
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(to)
	if err := qemu.Extract(ctx, image, to); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(to, "crash", "*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("kdump-init left %d directories, %v", len(found), err)
	}
	return os.Rename(found[0], filepath.Join(dir, "captured"))
}

// reserve is the value of crashkernel=: what a kernel with all drivers of a desktop
// needs is more.
func reserve(k *debian.Kernel) string {
	if isCloud(k.Release) {
		return "192M"
	}
	return "288M"
}
