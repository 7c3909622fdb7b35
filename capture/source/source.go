// Package source opens a core for a person at a desk: whatever its format, and
// whatever its writer left out or got wrong. A hypervisor does not know the
// kernel in its guest, so its dumps lack VMCOREINFO, or the kernel's name, or
// hold device memory as RAM. The package finds or is given what is missing,
// checks it against the memory, and gives a Source that needs no exceptions.
//
// It never changes the file, never makes up what it cannot prove by the memory,
// and is no part of the crash kernel: /proc/vmcore is right. Facts: QEMU's
// dump/dump.c and docs/specs/vmcoreinfo, the kernel's kernel/vmcore_info.c, and
// such files as QEMU 7.2 to 11.1 write, tried with drgn, crash and libkdumpfile.
package source

import (
	"context"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// Options changes how a core is opened.
type Options struct {
	// Salvage takes a core that is cut short, as [vmcore.Salvage] does.
	Salvage bool
	// VMCoreInfo is the path of a file with the VMCOREINFO text of the core's
	// kernel, or with its note, to be used instead of what the core says; ""
	// means none.
	VMCoreInfo string
}

// Open opens the core at path with everything mended that can be. The strings
// are sentences for the user: what was mended, found or dropped, and what could
// not be. The Source implements [vmcore.Kdump] when the file is a
// kdump-compressed one, flattened or not; its Header then has the names and the
// phys_base that the memory shows, and its bitmaps are the file's own. ctx bounds the
// search of memory that a core without VMCOREINFO needs: when it ends, the core
// is opened as it is, and a sentence says so. Errors are those of
// [vmcore.OpenPath], and those of the file that VMCoreInfo names.
func Open(ctx context.Context, path string, opt Options) (vmcore.Source, []string, error) {
	var opts []vmcore.Option
	if opt.Salvage {
		opts = append(opts, vmcore.Salvage())
	}
	src, err := vmcore.OpenPath(path, opts...)
	if err != nil {
		return nil, nil, err
	}
	mended, said, err := Mend(ctx, src, opt)
	if err != nil {
		src.Close()
		return nil, nil, err
	}
	return mended, said, nil
}
