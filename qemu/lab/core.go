package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
)

// Busy is a guest that works for a while on a disk that holds a system, panics,
// and is dumped by QEMU as it lies.
type Busy struct {
	// Root is the directory whose contents are on the guest's disk: a system of
	// the guest's architecture.
	Root string
	// Files is more that goes onto the disk: names there, without a leading
	// slash, and what they are on the host.
	Files map[string]string
	// Work is a shell script that the system runs before the panic. Programs
	// that it leaves running must not hold its output.
	Work string
	// MemoryMiB, DiskMiB are sizes.
	MemoryMiB int
	DiskMiB   int64
	// Timeout bounds the machine's life.
	Timeout time.Duration
}

// directMap is where x86-64 maps all memory when its address is not random
// (page_offset_base, with four levels of page tables).
const directMap = 0xffff888000000000

// DumpBusy makes core, an ELF file as /proc/vmcore would have it, of a busy guest
// that panicked; dir, which must have a short path, is for what is needed on the
// way. The guest does without KASLR, so that the program headers can get the
// virtual addresses that QEMU leaves out.
func (l *Lab) DumpBusy(ctx context.Context, dir, core string, b Busy, tee io.Writer) error {
	disk := filepath.Join(dir, "work.img")
	if err := l.busyDisk(ctx, dir, disk, b); err != nil {
		return err
	}
	const root = "/work"
	initrd := filepath.Join(dir, "guest.img")
	todo := script.Script{Steps: []script.Step{
		{Mount: &script.Mount{Device: "/dev/vda", FSType: "ext4", Dir: root}},
		// The system's own loader runs its chroot: the guest has no library.
		{Run: []string{root + "/lib64/ld-linux-x86-64.so.2", "--library-path", root + "/usr/lib/x86_64-linux-gnu",
			root + "/usr/sbin/chroot", root, "/bin/sh", "/work.sh"}},
		{Tasks: true},
		{Panic: &script.Panic{CPU: 1}},
	}}
	err := l.writeGuest(initrd, todo, append(virtioDisk("ext4"), modules.Want{Name: "qemu_fw_cfg", For: "the VMCOREINFO note"}), nil)
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "qmp")
	vm, err := qemu.Start(ctx, qemu.Opts{
		Kernel: l.Kernel.Image, Initrd: initrd, Append: "nokaslr",
		MemoryMiB: b.MemoryMiB, Accel: l.Accel, Timeout: b.Timeout, Tee: tee,
		Drives: []qemu.Drive{{Path: disk}}, Log: filepath.Join(dir, "console.log"),
		Extra: append(qemu.QMPArgs(socket), "-device", "vmcoreinfo"),
	})
	if err != nil {
		return err
	}
	defer vm.Close()
	worked, err := vm.ExpectMatch(ctx, regexp.MustCompile(script.Marker+`(exit -?\d+: |failed: ).*`))
	if err != nil {
		return err
	}
	if !strings.Contains(worked, "exit 0:") {
		return fmt.Errorf("lab: the busy guest: %s", worked)
	}
	if err := vm.Expect(ctx, "end Kernel panic - not syncing: sysrq triggered crash"); err != nil {
		return err
	}
	q, err := qemu.DialQMP(ctx, socket)
	if err != nil {
		return err
	}
	defer q.Close()
	if err := q.DumpGuestMemory(ctx, core, "elf", false); err != nil {
		return err
	}
	return addVirtual(core)
}

// busyDisk makes the guest's disk, with the script.
func (l *Lab) busyDisk(ctx context.Context, dir, disk string, b Busy) error {
	work := filepath.Join(dir, "work.sh")
	if err := os.WriteFile(work, []byte(b.Work), 0o644); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	d := qemu.Disk{SizeMiB: b.DiskMiB, FSType: "ext4", From: b.Root}
	if err := d.Make(ctx, disk); err != nil {
		return err
	}
	files := map[string]string{"work.sh": work}
	for name, from := range b.Files {
		files[name] = from
	}
	return qemu.PutFiles(ctx, disk, files)
}

// addVirtual gives the PT_LOADs of a 64-bit little-endian ELF core of QEMU's their
// virtual addresses in the direct map, and moves the program headers to where the
// kernel has them, right behind the ELF header: makedumpfile looks nowhere else.
// QEMU's section headers, which lie there, are of no use to anybody.
func addVirtual(core string) error {
	const ehdr, phdr = 64, 56 // bytes: Elf64_Ehdr, Elf64_Phdr
	f, err := os.OpenFile(core, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer f.Close()
	head := make([]byte, ehdr)
	if _, err := f.ReadAt(head, 0); err != nil {
		return fmt.Errorf("lab: %s: %w", core, err)
	}
	le := binary.LittleEndian
	phdrs := make([]byte, phdr*int(le.Uint16(head[56:])))
	if _, err := f.ReadAt(phdrs, int64(le.Uint64(head[32:]))); err != nil {
		return fmt.Errorf("lab: %s: program headers: %w", core, err)
	}
	end := uint64(ehdr + len(phdrs))
	for p := phdrs; len(p) > 0; p = p[phdr:] { // type at 0, offset at 8, vaddr at 16, paddr at 24
		if le.Uint32(p) == 1 {
			le.PutUint64(p[16:], directMap+le.Uint64(p[24:]))
		}
		if le.Uint64(p[8:]) < end {
			return fmt.Errorf("lab: %s: no room for %d program headers before the first segment", core, len(phdrs)/phdr)
		}
	}
	le.PutUint64(head[32:], ehdr) // e_phoff
	le.PutUint64(head[40:], 0)    // e_shoff
	le.PutUint16(head[52:], ehdr) // e_ehsize
	clear(head[58:])              // e_shentsize, e_shnum, e_shstrndx
	if _, err := f.WriteAt(append(head, phdrs...), 0); err != nil {
		return fmt.Errorf("lab: %s: %w", core, err)
	}
	return f.Close()
}
