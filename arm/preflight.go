package arm

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gokdump/gokdump/arm/kexec"
	"github.com/gokdump/gokdump/initramfs"
)

// Options say what to load. Empty paths are the defaults.
type Options struct {
	// Kernel, Image and Config are paths. Config is only remembered, so that
	// a later change of it shows in the status.
	Kernel, Image, Config string
	// Wishes change the command line.
	Wishes Wishes
	// Force turns the checks that may be wrong (does it fit, is the image for
	// this kernel) into warnings.
	Force bool
}

// Check is what [Host.Check] found out: all that a load would use.
type Check struct {
	// Kernel, Image and Config are the files.
	Kernel, Image, Config File
	// Release is the crash kernel's release; "" if its header does not say.
	Release string
	// Reserved is the reservation in bytes, Regions where it lies.
	Reserved uint64
	Regions  []kexec.Region
	// Floor is the least reservation, in bytes, with which this pair starts.
	Floor uint64
	// Cmdline is the crash kernel's command line.
	Cmdline *Cmdline
	// Content is what the image says of itself; nil if it could not be read.
	Content *ImageInfo
	// Warnings are sentences for the user.
	Warnings []string
}

// OpenImage reads the image at path, of which "" is what is loaded, or else the
// default one. info is nil when the host cannot read images.
func (h *Host) OpenImage(ctx context.Context, path string) (image File, info *ImageInfo, err error) {
	if path == "" {
		if r, err := h.readRecord(); err == nil && r != nil {
			path = r.Image.Path
		}
	}
	j := &job{Check: new(Check)}
	defer j.close()
	info, err = h.openImage(ctx, j, Options{Image: path})
	return j.Image, info, err
}

// job is a check with the files still open.
type job struct {
	*Check
	kernel, image *os.File
}

func (j *job) close() {
	for _, f := range []*os.File{j.kernel, j.image} {
		if f != nil {
			f.Close()
		}
	}
}

// Check does everything that a load does, except to load.
func (h *Host) Check(ctx context.Context, opt Options) (*Check, error) {
	j, err := h.prepare(ctx, opt)
	if err != nil {
		return nil, err
	}
	j.close()
	return j.Check, h.System().Forbidden()
}

func (h *Host) prepare(ctx context.Context, opt Options) (_ *job, err error) {
	j := &job{Check: new(Check)}
	defer func() {
		if err != nil {
			j.close()
		}
	}()
	if err := h.reservation(j); err != nil {
		return nil, err
	}
	header, err := h.openKernel(ctx, j, opt)
	if err != nil {
		return nil, err
	}
	info, err := h.openImage(ctx, j, opt)
	if err != nil {
		return nil, err
	}
	j.Content = info
	for _, problem := range []*Problem{j.agree(info), j.fits(h, header, info)} {
		switch {
		case problem == nil:
		case opt.Force:
			j.warn("%s", problem.Error())
		default:
			return nil, problem
		}
	}
	if opt.Config != "" {
		if j.Config, err = describe(ctx, opt.Config); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	running, err := h.readText("/proc/cmdline")
	if err != nil {
		return nil, err
	}
	if j.Cmdline, err = Derive(running, h.machine(), opt.Wishes); err != nil {
		return nil, err
	}
	if err := checkLength(j.Cmdline.Text, header.CmdlineMax()); err != nil {
		return nil, err
	}
	if text, err := h.readText("/proc/sys/kernel/panic_on_oops"); err == nil && strings.TrimSpace(text) == "0" {
		j.warn("kernel.panic_on_oops is 0: a kernel oops alone leaves no dump (sysctl kernel.panic_on_oops=1 changes that)")
	}
	return j, nil
}

func (c *Check) warn(format string, a ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, a...))
}

func (h *Host) reservation(j *job) (err error) {
	sys := h.System()
	if j.Reserved, err = sys.Reserved(); err != nil {
		return &Problem{
			Text: "cannot tell how much memory is reserved", Err: err,
			Next: "run a kernel with CONFIG_CRASH_DUMP=y and CONFIG_KEXEC_FILE=y, with sysfs mounted",
		}
	}
	if j.Reserved == 0 {
		return &Problem{Text: "cannot load", Err: ErrNoReservation, Next: kexec.NextReserve}
	}
	j.Regions, _ = sys.Regions("Crash kernel") // only shown
	return nil
}

func (h *Host) openKernel(ctx context.Context, j *job, opt Options) (*kexec.Kernel, error) {
	path, err := opt.Kernel, error(nil)
	if path == "" {
		if path, err = h.DefaultKernel(); err != nil {
			return nil, err
		}
	}
	if j.kernel, j.Kernel, err = openFile(ctx, path); err != nil {
		return nil, &Problem{Text: "crash kernel", Err: err, Next: "give the kernel's boot image (vmlinuz) with --kernel"}
	}
	header, err := kexec.ReadKernel(j.kernel, j.Kernel.Size)
	if err != nil {
		return nil, &Problem{Text: "crash kernel " + j.Kernel.Path, Err: err,
			Next: "give the kernel's boot image (vmlinuz) with --kernel, or install its package again"}
	}
	j.Release = header.Release
	return header, nil
}

// openImage opens the image and lets h look into it. Without knowing what is in
// it the other checks go without.
func (h *Host) openImage(ctx context.Context, j *job, opt Options) (*ImageInfo, error) {
	path, err := opt.Image, error(nil)
	if path == "" {
		if path, err = h.DefaultImage(); err != nil {
			return nil, err
		}
	}
	if j.image, j.Image, err = openFile(ctx, path); err != nil {
		return nil, &Problem{Text: "crash image", Err: err, Next: "build it with kdump-mkinitramfs, or give another with --image"}
	}
	if h.Inspect == nil {
		return nil, nil
	}
	info, err := h.Inspect(ctx, io.NewSectionReader(j.image, 0, j.Image.Size))
	if err == nil {
		return &info, nil
	}
	problem := &Problem{Text: "crash image " + j.Image.Path, Err: err,
		Next: "build it anew with kdump-mkinitramfs; --force loads it as it is"}
	if !opt.Force {
		return nil, problem
	}
	j.warn("%s", problem.Error())
	return nil, nil
}

// agree compares what the image was built for with the kernel.
func (j *job) agree(info *ImageInfo) *Problem {
	if info == nil || j.Release == "" || info.Kernel == j.Release {
		return nil
	}
	return &Problem{
		Text: fmt.Sprintf("image %s has modules for %s, but kernel %s is %s: none of them would load", j.Image.Path, info.Kernel, j.Kernel.Path, j.Release),
		Next: "build the image for this kernel: kdump-mkinitramfs --kernel " + j.Release,
	}
}

// The floor's fixed parts, in bytes. Measured with the Debian 6.1 cloud kernel
// (init_size 51.5 MiB) on a machine of 1 GiB and an image of 1.8 MiB, not
// compressed: with 68 MiB the crash kernel runs out of memory before /init, with
// 72 MiB /init runs and finds 17 MiB available.
const (
	earlyUse = 16 << 20 // page tables, memmap, per-CPU areas, what drivers take
	workRoom = 32 << 20 // buffers, stacks and dirty pages of a capture
)

// fits compares the reservation with what the pair needs: refuse what cannot
// start, warn of what starts but may not finish.
func (j *job) fits(h *Host, header *kexec.Kernel, info *ImageInfo) *Problem {
	need := header.InitSize
	if need == 0 {
		need = initramfs.UsualInitSize
	}
	need += earlyUse + uint64(j.Image.Size)
	unpacked := uint64(0)
	if info != nil {
		unpacked = info.Unpacked
	}
	need += unpacked
	j.Floor = need
	if j.Reserved < need {
		return &Problem{
			Text: fmt.Sprintf("%s are reserved, but this pair needs %s to start: kernel %s, image %s packed and %s unpacked, early use %s",
				mib(j.Reserved), mib(need), mib(need-earlyUse-uint64(j.Image.Size)-unpacked), mib(uint64(j.Image.Size)), mib(unpacked), mib(earlyUse)),
			Next: fmt.Sprintf("set crashkernel=%dM or more on the kernel command line and reboot; --force loads it as it is", (need+workRoom)>>20+1),
		}
	}
	// A capture holds a few bitmaps of the machine's pages, a bit each.
	_, ram := h.memory()
	if want := need + workRoom + 2*(ram>>15); j.Reserved < want {
		j.warn("%s are reserved: this pair starts with %s, but %s are advisable on a machine with %s of RAM (crashkernel=%dM)",
			mib(j.Reserved), mib(need), mib(want), mib(ram), want>>20+1)
	}
	return nil
}

func mib(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
