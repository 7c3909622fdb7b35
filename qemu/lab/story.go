package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// DiskUUID is the file system that stories dump to.
const DiskUUID = "b5a2d0c4-6f0e-4d0e-9d53-6b64756d7031"

// CrashDir is the directory for dumps inside that file system.
const CrashDir = "/crash"

// mountPoint is where the guest mounts it.
const mountPoint = "/target"

// DefaultConfig is the kdump.conf of a story that has no other.
const DefaultConfig = DiskConfig + "host smoke\n"

// DiskConfig are the lines of kdump.conf that name the story's disk: also as one more
// target behind another.
const DiskConfig = "ext4 UUID=" + DiskUUID + "\npath " + CrashDir + "\n"

// Story is one crash. The zero value is the plain one: two CPUs, 1 GiB of memory,
// an ext4 disk with room, a panic on CPU 0.
type Story struct {
	// Config is the kdump.conf; empty means [DefaultConfig].
	Config string
	// Files are what Config names, keys and certificates, by their paths.
	Files map[string][]byte
	// CPUs, CPU and MemoryMiB are as in [qemu.Opts].
	CPUs      int
	CPU       string
	MemoryMiB int
	// Reserve is the value of crashkernel=; empty means [DefaultReserve], and
	// "none" leaves the word out.
	Reserve string
	// Disk is the target; the zero value means 512 MiB of ext4.
	Disk qemu.Disk
	// Attach, if not nil, gives the drive that the target's image becomes; it says
	// what is wrong with it.
	Attach func(image string) (qemu.Drive, error)
	// Extra arguments for QEMU.
	Extra []string
	// Modules are further modules that the guest loads, in this order.
	Modules []string
	// Network is the guest's own, which it brings up first; the guest then builds
	// the crash image itself, as a real host does.
	Network *script.Network
	// Before is done before the image is armed.
	Before []script.Step
	// Fill is the memory that the guest uses; the zero value means twelve
	// workers of 8 MiB and 64 MiB of page cache.
	Fill script.Fill
	// Damage, if not nil, is done to the crash image before it is armed.
	Damage func(image string) error
	// ReadOnly gives the crash kernel a disk that cannot be written; the guest
	// then does not mount it before the crash.
	ReadOnly bool
	// Unmounted leaves the disk alone until the crash.
	Unmounted bool
	// PanicCPU is the processor that panics.
	PanicCPU int
	// ArmFlags are further arguments of kdump-arm load.
	ArmFlags []string
	// Return lets the guest boot again after the crash, look at its disk and
	// power off; else the crash kernel's reboot ends the machine.
	Return bool
	// Talk, if not nil, is called after the panic, to type on the console.
	Talk func(ctx context.Context, vm *qemu.VM) error
	// Carry lets the guest that came back copy its dumps to a second disk, with
	// ext4, which then is the outcome's: the way to read a target of another
	// file system without mounting it. It implies Return.
	Carry bool
	// Canaries has the guest mark its memory before it panics; see package
	// canary. Needs the disk mounted.
	Canaries bool
	// Raw, if not empty, is where QEMU writes all of the memory, an ELF core,
	// when the machine has panicked; its path must be short.
	Raw string
	// RawFreed, if not empty, is where QEMU writes the memory before, when canaries
	// were just given back. Needs Raw.
	RawFreed string
	// Again is the disk of an earlier story, to be crashed onto once more; it is moved
	// to this one's folder. Empty means that Disk is made.
	Again string
	// Clock is what the machine's clock says at its start, as QEMU's -rtc base= has
	// it; empty means the host's time.
	Clock string
	// Timeout bounds the machine; 0 means [qemu.DefaultTimeout].
	Timeout time.Duration
}

// DefaultReserve is crashkernel= of a story that asks for none.
const DefaultReserve = "192M"

// Outcome is what a story left.
type Outcome struct {
	// Console is all that the machine printed; the log file holds the same.
	Console, Log string
	// Disk is the image of the target's disk.
	Disk string
	// CrashDir is where the dumps lie on it; empty means [CrashDir].
	CrashDir string
	// Tasks are the threads just before the panic, id to name.
	Tasks map[string]string
	// BuildOutput is what kdump-mkinitramfs printed, Image what it built.
	BuildOutput, Image string
	// ToPanic and ToEnd are how long the machine took from its start to the
	// panic, and from the panic to its end.
	ToPanic, ToEnd time.Duration
}

var tasksLine = regexp.MustCompile(regexp.QuoteMeta(script.Marker+script.TasksPrefix) + `(\{[^\r\n]*\})`)

// seeTasks takes the tasks that the guest told of.
func (o *Outcome) seeTasks(console string) error {
	for _, m := range tasksLine.FindAllStringSubmatch(console, -1) {
		if err := json.Unmarshal([]byte(m[1]), &o.Tasks); err != nil {
			return fmt.Errorf("lab: the guest's tasks: %w", err)
		}
	}
	return nil
}

// Run plays a story in dir, which must exist and be the story's own. The console
// goes to dir/console.log, and to tee if that is not nil.
func (l *Lab) Run(ctx context.Context, dir string, s Story, tee io.Writer) (*Outcome, error) {
	o, opts, err := l.prepare(ctx, dir, s, s.script())
	if err != nil {
		return nil, err
	}
	opts.Tee = tee
	if s.Carry {
		o.Disk = opts.Drives[1].Path
		o.CrashDir = mountPoint + CrashDir
	}
	start := time.Now()
	vm, err := qemu.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	defer func() { o.Console = vm.Console() }()

	armed, err := vm.ExpectMatch(ctx, regexp.MustCompile(script.Marker+`(exit -?\d+: /`+guestArm+` load|failed: .*)`))
	if err != nil {
		return o, err
	}
	if !strings.Contains(armed, "exit 0:") {
		return o, fmt.Errorf("lab: the guest could not arm: %s; its console is in %s", armed, o.Log)
	}
	if err := vm.Expect(ctx, script.TasksEnd); err != nil {
		return o, err
	}
	if err := o.seeTasks(vm.Console()); err != nil {
		return o, err
	}
	if s.Canaries {
		if err := freeCanaries(ctx, vm, monitor(s.Raw), s.RawFreed); err != nil {
			return o, err
		}
	}
	if err := vm.Expect(ctx, "Kernel panic - not syncing: sysrq triggered crash"); err != nil {
		return o, err
	}
	o.ToPanic = time.Since(start)
	if s.Raw != "" {
		if err := dumpRaw(ctx, monitor(s.Raw), s.Raw); err != nil {
			return o, err
		}
	}
	if s.Talk != nil {
		if err := s.Talk(ctx, vm); err != nil {
			return o, err
		}
	}
	if err := vm.Wait(ctx); err != nil {
		return o, err
	}
	o.ToEnd = time.Since(start) - o.ToPanic
	return o, nil
}

// Boot makes the same machine as Run, but lets its guest carry out steps of the
// caller's and power off; nothing is armed or crashed but by these steps. Fields of
// the story that are about the crash are not looked at.
func (l *Lab) Boot(ctx context.Context, dir string, s Story, steps ...script.Step) (*Outcome, error) {
	o, opts, err := l.prepare(ctx, dir, s, script.Script{Steps: steps})
	if err != nil {
		return nil, err
	}
	vm, err := qemu.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	defer func() { o.Console = vm.Console() }()
	return o, vm.Wait(ctx)
}

// prepare makes the image, the disk and the machine of a story.
func (l *Lab) prepare(ctx context.Context, dir string, s Story, todo script.Script) (*Outcome, qemu.Opts, error) {
	o := &Outcome{
		Log:   filepath.Join(dir, "console.log"),
		Disk:  filepath.Join(dir, "disk.img"),
		Image: filepath.Join(dir, "kdump.img"),
	}
	none := qemu.Opts{}
	config := filepath.Join(dir, "kdump.conf")
	if s.Config == "" {
		s.Config = DefaultConfig
	}
	if err := os.WriteFile(config, []byte(s.Config), 0o644); err != nil {
		return o, none, fmt.Errorf("lab: %w", err)
	}
	var err error
	if s.Network == nil {
		root := l.Kernel.Root
		if s.Files != nil {
			if root, err = l.rootWith(ctx, dir, s.Files); err != nil {
				return o, none, err
			}
			defer os.RemoveAll(root)
		}
		if o.BuildOutput, err = l.buildImage(ctx, root, config, o.Image); err != nil {
			return o, none, err
		}
	}
	if s.Damage != nil {
		if err := s.Damage(o.Image); err != nil {
			return o, none, err
		}
	}
	if s.Disk == (qemu.Disk{}) {
		s.Disk = qemu.Disk{SizeMiB: 512, FSType: "ext4", UUID: DiskUUID}
	}
	if s.Again != "" {
		if err := os.Rename(s.Again, o.Disk); err != nil {
			return o, none, fmt.Errorf("lab: %w", err)
		}
	} else if err := s.Disk.Make(ctx, o.Disk); err != nil {
		return o, none, err
	}
	if s.Canaries {
		if err := putCanaries(ctx, dir, o.Disk); err != nil {
			return o, none, err
		}
	}
	extra := s.Extra
	if s.Raw != "" {
		extra = append(slices.Clone(extra), qemu.QMPArgs(monitor(s.Raw))...)
	}
	if s.Clock != "" {
		extra = append(extra, "-rtc", "base="+s.Clock)
	}
	initrd := filepath.Join(dir, "guest.img")
	if s.Network != nil {
		err = l.builderImage(initrd, config, s.fsType(), todo)
	} else {
		err = l.guestImage(initrd, o.Image, config, s.fsType(), s.Modules, todo)
	}
	if err != nil {
		return o, none, err
	}
	reserve := "crashkernel=" + DefaultReserve
	switch s.Reserve {
	case "":
	case "none":
		reserve = ""
	default:
		reserve = "crashkernel=" + s.Reserve
	}
	drives := []qemu.Drive{{Path: o.Disk, ReadOnly: s.ReadOnly}}
	if s.Attach != nil {
		if drives[0], err = s.Attach(o.Disk); err != nil {
			return o, none, err
		}
	}
	if s.Carry {
		second := filepath.Join(dir, "carry.img")
		if err := (qemu.Disk{SizeMiB: s.Disk.SizeMiB, FSType: "ext4"}).Make(ctx, second); err != nil {
			return o, none, err
		}
		drives = append(drives, qemu.Drive{Path: second})
	}
	return o, qemu.Opts{
		Kernel: l.Kernel.Image, Initrd: initrd, Append: reserve + " panic=30 no_timer_check",
		MemoryMiB: s.MemoryMiB, CPUs: s.CPUs, CPU: s.CPU, Accel: l.Accel,
		Drives: drives,
		Reboot: s.Return || s.Carry, Timeout: s.Timeout, Log: o.Log, Extra: extra,
	}, nil
}

// script is what the guest does.
func (s *Story) script() script.Script {
	fill := s.Fill
	if fill == (script.Fill{}) {
		fill = script.Fill{Workers: 12, AnonMiB: 8, ShmMiB: 1, CacheMiB: 64}
	}
	var steps []script.Step
	if !s.ReadOnly && !s.Unmounted {
		steps = append(steps, script.Step{Mount: &script.Mount{Device: "/dev/vda", FSType: s.fsType(), Dir: mountPoint}})
		fill.CacheDir = mountPoint + "/data"
	} else {
		fill.CacheMiB = 0
	}
	if s.Carry {
		steps = append(steps, script.Step{Carry: &script.Carry{
			From: mountPoint + CrashDir,
			To:   script.Mount{Device: "/dev/vdb", FSType: "ext4", Dir: "/carry"},
		}})
	}
	if s.Return || s.Carry {
		steps = append(steps, script.Step{EndIfAny: mountPoint + CrashDir})
	}
	if s.Network != nil {
		steps = append(steps,
			script.Step{Network: s.Network},
			script.Step{Run: []string{"/" + guestMake, "-v"}})
	}
	steps = append(steps, s.Before...)
	steps = append(steps,
		script.Step{Fill: &fill},
		script.Step{Run: append([]string{"/" + guestArm, "load"}, s.ArmFlags...)},
		script.Step{Run: []string{"/" + guestArm, "status"}},
	)
	if s.Canaries {
		steps = append(steps, script.Step{Canaries: mountPoint})
	}
	steps = append(steps, script.Step{Tasks: true})
	if s.Canaries { // last, so that nothing else gets the pages
		steps = append(steps, script.Step{FreeCanaries: true})
	}
	steps = append(steps, script.Step{Panic: &script.Panic{CPU: s.PanicCPU, Drain: s.Canaries}})
	return script.Script{Steps: steps}
}

func (s *Story) fsType() string {
	if s.Disk.FSType != "" {
		return s.Disk.FSType
	}
	return "ext4"
}
