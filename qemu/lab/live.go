package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// Live is a guest that does not crash: QEMU dumps its memory from outside.
type Live struct {
	// Note gives QEMU the guest's VMCOREINFO note: by the device for it, and the
	// module in the guest that fills that in.
	Note bool
	// MemoryMiB, CPUs and CPU are as in [qemu.Opts].
	MemoryMiB, CPUs int
	CPU             string
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
	todo := script.Script{Steps: []script.Step{{Fill: &fill}, {Tasks: true}, {Idle: true}}}
	if err := l.writeGuest(initrd, todo, wants, nil); err != nil {
		return o, err
	}
	vm, err := qemu.Start(ctx, qemu.Opts{
		Kernel: l.Kernel.Image, Initrd: initrd,
		MemoryMiB: g.MemoryMiB, CPUs: g.CPUs, CPU: g.CPU, Accel: l.Accel,
		Log: o.Log, Extra: extra,
	})
	if err != nil {
		return o, err
	}
	defer vm.Close()
	defer func() { o.Console = vm.Console() }()
	line, err := vm.ExpectMatch(ctx, tasksLine)
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal([]byte(line[strings.IndexByte(line, '{'):]), &o.Tasks); err != nil {
		return o, fmt.Errorf("lab: the guest's tasks: %w", err)
	}
	q, err := qemu.DialQMP(ctx, socket)
	if err != nil {
		return o, err
	}
	defer q.Close()
	for _, d := range dumps {
		if err := q.DumpGuestMemory(ctx, filepath.Join(dir, d.Name), d.Format, d.Paging); err != nil {
			return o, err
		}
	}
	return o, nil
}
