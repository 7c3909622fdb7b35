package qemu

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Program is the emulator that [Start] runs, looked for in PATH.
const Program = "qemu-system-x86_64"

// Opts describes a virtual machine. The zero value of each field but Kernel is a
// sound choice.
type Opts struct {
	// Emulator is the command that stands for [Program], with its first arguments;
	// nil means the one in PATH.
	Emulator []string
	// Kernel is the path of the bzImage to boot.
	Kernel string
	// Initrd is the path of the initramfs, or empty.
	Initrd string
	// Append is the kernel's command line. The serial console is always put in
	// front of it.
	Append string
	// MemoryMiB is the machine's memory in MiB; 0 means 1024.
	MemoryMiB int
	// CPUs is the number of virtual CPUs; 0 means 2.
	CPUs int
	// CPU is the model; empty means [DefaultCPU].
	CPU string
	// Accel says who executes the guest; the zero value is [TCG].
	Accel Accel
	// Drives become /dev/vda, /dev/vdb and so on, unless they name another bus.
	Drives []Drive
	// EFIVars is the variable store of the machine's EFI firmware, see [MakeEFIVars];
	// empty means a machine with a BIOS.
	EFIVars string
	// Reboot lets a guest that resets the machine boot again. Without it, a
	// reset ends the machine as if it had powered off.
	Reboot bool
	// Extra arguments for QEMU, after all others.
	Extra []string
	// Timeout bounds the machine's life on the host's clock; 0 means
	// [DefaultTimeout].
	Timeout time.Duration
	// Tee, if not nil, is given the console's text as it comes.
	Tee io.Writer
	// Log is where the console's text is kept, byte for byte; empty keeps it in
	// memory only.
	Log string
}

// Drive is one disk.
type Drive struct {
	// Path of the image, in raw format.
	Path string
	// ReadOnly makes the guest's every write fail.
	ReadOnly bool
	// Bus is what the disk hangs on; the zero value is [VirtioBlk].
	Bus Bus
	// Serial is the disk's serial number, which the guest sees; empty means that
	// it is QEMU's business.
	Serial string
	// Faults is the path of rules for QEMU's blkdebug driver (errors at chosen
	// sectors), which the guest then gets to see; empty means none.
	Faults string
	// Cache is QEMU's cache mode; empty means that flushes are not passed on: the
	// host's page cache outlives QEMU, and no test outlives the host.
	Cache string
	// WriteMiBps is the most MiB that it takes in a second; 0 means no limit.
	WriteMiBps int
	// Unplugged leaves the disk out of the machine until device_add of the
	// monitor puts it in, as drive diskN, N being its place in Drives.
	Unplugged bool
}

// Bus is what connects a disk with the machine.
type Bus string

// The buses.
const (
	VirtioBlk  Bus = ""
	VirtioSCSI Bus = "virtio-scsi"
	NVMe       Bus = "nvme"
	AHCI       Bus = "ahci"
)

// device is QEMU's -device for disk number i of the bus, and for nvme gives a serial
// number, without which there is no such disk.
func (d Drive) device(i int) []string {
	serial := d.Serial
	var args []string
	model := "virtio-blk-pci"
	switch d.Bus {
	case VirtioSCSI:
		args = []string{"-device", fmt.Sprintf("virtio-scsi-pci,id=scsi%d", i)}
		model = fmt.Sprintf("scsi-hd,bus=scsi%d.0", i)
	case NVMe:
		model = "nvme"
		serial = or(serial, fmt.Sprintf("disk%d", i))
	case AHCI:
		model = fmt.Sprintf("ide-hd,bus=ide.%d", i)
	}
	model += fmt.Sprintf(",drive=disk%d", i)
	if serial != "" {
		model += ",serial=" + comma(serial)
	}
	return append(args, "-device", model)
}

// Accel says who executes the guest's instructions.
type Accel string

// The accelerators. TCG emulates in software and works everywhere.
const (
	TCG Accel = ""
	KVM Accel = "kvm"
)

// String gives the accelerator's name.
func (a Accel) String() string {
	if a == TCG {
		return "tcg"
	}
	return string(a)
}

// arg is what QEMU's -accel takes.
//
// TCG takes one host thread for all virtual CPUs. With one for each, a boot of a
// loaded host once spun for ever on code that another CPU had patched (Linux's
// static keys, QEMU 7.2); never since. A machine that runs a kernel's boot and its
// one-CPU crash kernel loses no time by it.
func (a Accel) arg() string {
	if a == TCG {
		return "tcg,thread=single"
	}
	return string(a)
}

// DefaultCPU is a plain 64-bit model. Kernels from 6.12 on fail a self-test of
// their cryptography under "max" in QEMU 7.2, so that model is for the cases
// that need what only it has, such as five-level page tables.
const DefaultCPU = "qemu64"

// DefaultTimeout is the life of a machine that asks for none: ten times what a
// crash and a capture take under emulation on two cores, for no test may depend on
// how fast the machine is.
const DefaultTimeout = 8 * time.Minute

// console is what makes a Linux guest talk to QEMU's first serial port.
const console = "console=ttyS0,115200"

// Args gives QEMU's arguments for o, without the program's name. It reports a
// machine that cannot be started as described.
func (o *Opts) Args() ([]string, error) {
	var errs []error
	if o.Kernel == "" {
		errs = append(errs, errors.New("no kernel"))
	}
	if o.MemoryMiB < 0 || o.CPUs < 0 || o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("negative size: %d MiB, %d CPUs, timeout %v", o.MemoryMiB, o.CPUs, o.Timeout))
	}
	for i, d := range o.Drives {
		if d.Path == "" {
			errs = append(errs, fmt.Errorf("drive %d has no image", i))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("qemu: options: %w", err)
	}

	args := []string{
		"-no-user-config", "-nodefaults", "-display", "none", "-monitor", "none",
		"-machine", "q35",
		"-accel", o.Accel.arg(),
		"-cpu", or(o.CPU, DefaultCPU),
		"-smp", strconv.Itoa(or(o.CPUs, 2)),
		"-m", strconv.Itoa(or(o.MemoryMiB, 1024)) + "M",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-kernel", o.Kernel,
	}
	if o.Initrd != "" {
		args = append(args, "-initrd", o.Initrd)
	}
	args = append(args, "-append", strings.TrimSpace(console+" "+o.Append))
	if o.EFIVars != "" {
		args = append(args,
			"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+efiCode,
			"-drive", "if=pflash,unit=1,format=raw,cache=unsafe,file="+comma(o.EFIVars))
	}
	for i, d := range o.Drives {
		path := comma(d.Path)
		if d.Faults != "" {
			path = "blkdebug:" + comma(d.Faults) + ":" + path + ",werror=report,rerror=report"
		}
		drive := fmt.Sprintf("file=%s,if=none,id=disk%d,format=raw,cache=%s", path, i, or(d.Cache, "unsafe"))
		if d.ReadOnly {
			drive += ",readonly=on"
		}
		if d.WriteMiBps > 0 {
			drive += fmt.Sprintf(",throttling.bps-write=%d", d.WriteMiBps<<20)
		}
		args = append(args, "-drive", drive)
		if !d.Unplugged {
			args = append(args, d.device(i)...)
		}
	}
	if !o.Reboot {
		args = append(args, "-no-reboot")
	}
	return append(args, o.Extra...), nil
}

// comma doubles the commas of a value inside a QEMU option, as QEMU wants it.
func comma(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// or is v, or def when v is the zero value.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
