// Package vmcore reads a core file as physical memory, whatever its format:
// the ELF file of /proc/vmcore, of its copies, and kdump-compressed files, all
// flattened too.
//
// The package owns the file formats. It never interprets what is in the memory:
// that is capture/kernel's business. Facts: the ELF specification, the kernel's
// fs/proc/vmcore.c and include/linux/crash_core.h, and the diskdump/kdump header
// as makedumpfile(8) and crash(8) document it.
package vmcore

import (
	"debug/elf"
	"errors"
)

// Range is a span of physical addresses, in bytes: Start is in, End is not.
type Range struct{ Start, End uint64 }

// ErrNoPage is wrapped by the error of a read from an address that the core
// does not hold: not RAM, or left out by whoever filtered the core.
var ErrNoPage = errors.New("page is not in the core")

// ErrNotCore is wrapped by the error of [Open] for a file of no known format.
var ErrNotCore = errors.New("not a core file that this program knows")

// Source is a core file seen as physical memory. Its methods may be called
// from several goroutines.
type Source interface {
	// Format is "elf" or "kdump"; of a flattened file, "elf, flattened" or
	// "kdump, flattened".
	Format() string
	// Machine is the architecture of the crashed kernel.
	Machine() elf.Machine
	// PageSize is the crashed kernel's page size in bytes, a power of two
	// from 4096 to 65536.
	PageSize() uint64
	// RAM gives the physical ranges that are RAM, sorted, apart from each
	// other, not empty. They may start and end inside a page.
	RAM() []Range
	// KernelImage gives the physical ranges that hold the kernel's own image,
	// sorted; nil when the file does not tell.
	KernelImage() []Range
	// Notes is the PT_NOTE segment, verbatim.
	Notes() []byte
	// VMCoreInfo is the text of the VMCOREINFO note inside Notes; nil when
	// there is none.
	VMCoreInfo() []byte
	// NewReader returns a reader of the memory, to be closed by the caller.
	NewReader() (Reader, error)
	// Close ends the use of the file. All readers must be closed before.
	Close() error
}

// Reader reads physical memory. One goroutine uses it at a time.
type Reader interface {
	// ReadPhys fills p with the memory at physical address pa, or returns an
	// error that tells pa. An address that the core does not hold gives one
	// that wraps [ErrNoPage]; but in a page of which a part is RAM, the rest
	// reads as zeros.
	ReadPhys(p []byte, pa uint64) error
	// Close gives the reader's resources back.
	Close() error
}
