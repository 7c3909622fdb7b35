// Package initramfs turns a kernel's modules, a plan and an init program into one
// crash image, and reads such an image back to tell whether it is sound.
//
// It owns what lies where in an image:
//
//	/init               kdump-init, static
//	/plan.json          the plan, modules in loading order
//	/modules/NAME.ko    plain module files
//	/files/NAME         what the plan's targets need: keys, certificates; if any
//	/lib/firmware/NAME  what the modules say that they may ask for, where the host has it
//	/dev /proc /sys /mnt /tmp   empty, for mounts
//
// and nothing else. The same inputs always give the same bytes. It never runs a
// program and never looks at the host: what to put in is told by its callers
// (arm/config makes the plan, initramfs/drivers finds the drivers).
//
// Facts: init/initramfs.c and init/main.c of the kernel (run_init_process("/init")).
package initramfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/initramfs/modules"
)

// Places in an image.
const (
	initFile  = "init"
	moduleDir = "modules"

	firmwareDir = "lib/firmware" // the kernel's own place for it
)

var fileDir = strings.TrimPrefix(plan.FileDir, "/")

var planFile = strings.TrimPrefix(plan.File, "/")

// emptyDirs are where kdump-init mounts.
func emptyDirs() []string { return []string{"dev", "mnt", "proc", "sys", "tmp"} }

// Options is everything that an image is made of.
type Options struct {
	// Plan says what the image is to do. Its Modules must be empty: they come
	// from Wants. Its Kernel must be Tree's release.
	Plan *plan.Plan
	// Tree is the crash kernel's modules.
	Tree *modules.Tree
	// Wants are the modules to load, in this order; each with what it needs.
	Wants []modules.Want
	// Files are the contents of [plan.Plan.Files], by name.
	Files map[string][]byte
	// Init is the program that the image starts: a static ELF file.
	Init []byte
	// Compression packs the image.
	Compression archive.Compression
}

// Report says what became of it.
type Report struct {
	// Plan is the plan in the image, with modules.
	Plan *plan.Plan
	// Modules are the modules in the image, what the kernel has built in, and
	// which optional ones it lacks.
	Modules *modules.Set
	// Firmware is what the modules may ask for, without the data.
	Firmware []modules.Blob
	// NoFirmware are the names of files that were too much.
	NoFirmware []string
	// Size is the image's size before and after compression, in bytes.
	Size archive.Stats
}

// Build writes one image to w.
func Build(w io.Writer, o Options) (*Report, error) {
	if len(o.Plan.Modules) > 0 {
		return nil, errors.New("initramfs: the plan names modules already")
	}
	if o.Plan.Kernel != o.Tree.Release() {
		return nil, fmt.Errorf("initramfs: the plan is for kernel %s, the modules are of %s", o.Plan.Kernel, o.Tree.Release())
	}
	set, err := o.Tree.Resolve(o.Wants)
	if err != nil {
		return nil, err
	}
	machine, err := o.Tree.Machine()
	if err != nil {
		return nil, err
	}
	if err := checkInit(o.Init, machine); err != nil {
		return nil, fmt.Errorf("init program: %w", err)
	}

	p := *o.Plan
	files := []archive.File{{Name: initFile, Mode: 0o755, Data: o.Init}}
	for _, d := range append(emptyDirs(), moduleDir) {
		files = append(files, archive.File{Name: d, Mode: fs.ModeDir | 0o755})
	}
	for _, m := range set.Modules {
		name := path.Join(moduleDir, m.Name+".ko")
		files = append(files, archive.File{Name: name, Mode: 0o644, Data: m.Data})
		p.Modules = append(p.Modules, plan.Module{Name: m.Name, Path: "/" + name})
	}
	firmware, left, err := o.Tree.Firmware(set)
	if err != nil {
		return nil, err
	}
	for i, b := range firmware {
		files = append(files, archive.File{Name: path.Join(firmwareDir, b.Name), Mode: 0o644, Data: b.Data})
		firmware[i].Data = nil
	}
	if len(p.Files) > 0 {
		files = append(files, archive.File{Name: fileDir, Mode: fs.ModeDir | 0o700})
	}
	for _, name := range p.Files {
		data, ok := o.Files[name]
		if !ok {
			return nil, fmt.Errorf("initramfs: the plan names file %q, which was not given", name)
		}
		files = append(files, archive.File{Name: path.Join(fileDir, name), Mode: 0o600, Data: data})
	}
	var text bytes.Buffer
	if err := p.Encode(&text); err != nil {
		return nil, err
	}
	files = append(files, archive.File{Name: planFile, Mode: 0o600, Data: text.Bytes()})

	st, err := archive.Write(w, o.Compression, files)
	if err != nil {
		return nil, err
	}
	return &Report{Plan: &p, Modules: set, Firmware: firmware, NoFirmware: left, Size: st}, nil
}

// checkInit takes only a program that runs where there is nothing else: a static
// ELF executable for machine. EM_NONE, of a kernel without modules, stands for the
// machine that this program runs on.
func checkInit(init []byte, machine elf.Machine) error {
	f, err := elf.NewFile(bytes.NewReader(init))
	if err != nil {
		return fmt.Errorf("not an ELF program: %w", err)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return fmt.Errorf("ELF %v is not a program", f.Type)
	}
	if machine == elf.EM_NONE {
		machine = hostMachine()
	}
	if f.Machine != machine {
		return fmt.Errorf("it is for %v, the kernel's modules are for %v", f.Machine, machine)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("it is dynamically linked, and there are no libraries in a crash image: build it with CGO_ENABLED=0")
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if end := p.Off + p.Filesz; end < p.Off || end > uint64(len(init)) {
			return fmt.Errorf("cut short: a segment ends at %d, the file at %d", end, len(init))
		}
		if f.Entry >= p.Vaddr && f.Entry-p.Vaddr < p.Memsz {
			return nil
		}
	}
	return fmt.Errorf("its entry %#x lies in no loadable segment", f.Entry)
}

func hostMachine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}
