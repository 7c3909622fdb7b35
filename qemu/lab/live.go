package lab

import (
	"context"
	"path/filepath"

	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// Live is a guest without a crash kernel: QEMU dumps its memory from outside.
type Live struct {
	// Note gives QEMU the guest's VMCOREINFO note: by the device for it, and the
	// module in the guest that fills that in.
	Note bool
	// Panic lets it panic first, and hang; else it runs.
	Panic bool
	// MemoryMiB, CPUs, CPU and Emulator are as in [qemu.Opts].
	MemoryMiB, CPUs int
	CPU             string
	Emulator        []string
	// Fill is the memory that the guest uses; the zero value means four workers
	// of 8 MiB.
	Fill script.Fill
}

// HostDump is one dump to be made of a [Live] guest.
type HostDump struct {
	// Name of the file, in the folder of the machine.
	Name string
	// Format is one of dump-guest-memory's: "elf", "kdump-zlib" and so on.
	Format string
	// Paging makes an ELF file by the guest's page tables.
	Paging bool
}

// DumpLive boots a guest, lets QEMU write the dumps to files in dir, which must
// have a short path, and ends the machine. The outcome tells the guest's tasks;
// nothing else of it but the console is set.
func (l *Lab) DumpLive(ctx context.Context, dir string, g Live, dumps ...HostDump) (*Outcome, error) {
	o := &Outcome{Log: filepath.Join(dir, "console.log")}
	fill := g.Fill
	if fill == (script.Fill{}) {
		fill = script.Fill{Workers: 4, AnonMiB: 8, ShmMiB: 1}
	}
	var wants []modules.Want
	socket := filepath.Join(dir, "qmp")
	extra := qemu.QMPArgs(socket)
	if g.Note {
		wants = []modules.Want{{Name: "qemu_fw_cfg", For: "the VMCOREINFO note"}}
		extra = append(extra, "-device", "vmcoreinfo")
	}
	initrd := filepath.Join(dir, "guest.img")
	// The listing says something more: the kernel may hold back the last line.
	last, lastLine := script.Step{Idle: true}, script.TasksEnd
	if g.Panic {
		last, lastLine = script.Step{Panic: &script.Panic{}}, "end Kernel panic"
	}
	todo := script.Script{Steps: []script.Step{{Fill: &fill}, {Tasks: true}, {List: "/run"}, last}}
	if err := l.writeGuest(initrd, todo, wants, nil); err != nil {
		return o, err
	}
	vm, err := qemu.Start(ctx, qemu.Opts{
		Kernel: l.Kernel.Image, Initrd: initrd,
		MemoryMiB: g.MemoryMiB, CPUs: g.CPUs, CPU: g.CPU, Emulator: g.Emulator, Accel: l.Accel,
		Log: o.Log, Extra: extra,
	})
	if err != nil {
		return o, err
	}
	defer vm.Close()
	defer func() { o.Console = vm.Console() }()
	if err := vm.Expect(ctx, lastLine); err != nil {
		return o, err
	}
	if err := o.seeTasks(vm.Console()); err != nil {
		return o, err
	}
	q, err := qemu.DialQMP(ctx, socket)
	if err != nil {
		return o, err
	}
	defer q.Close()
	if _, err := q.Do(ctx, "stop", nil); err != nil { // all dumps are of one moment
		return o, err
	}
	for _, d := range dumps {
		if err := q.DumpGuestMemory(ctx, filepath.Join(dir, d.Name), d.Format, d.Paging); err != nil {
			return o, err
		}
	}
	return o, nil
}
