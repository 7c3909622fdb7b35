// Package infoscan finds the crashed kernel's VMCOREINFO in its memory, for
// cores whose maker did not know where it is: hypervisors' mostly.
//
// A kernel keeps the text twice: on pages of its own, from their first byte on,
// and as the ELF note that it gives to the crash kernel. But any file of the guest
// may hold such a text as well, of another kernel or another boot, and be cached
// in memory. So the package takes a text only when it proves itself: the page
// tables that it names lead to the kernel's own name, and that is the same.
//
// It owns the search and the proof; putting what was found into a core is the
// business of capture/source. Facts: the kernel's kernel/vmcore_info.c and
// include/linux/vmcore_info.h (in kernel/crash_core.c until 6.8).
package infoscan

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// ErrNotFound is wrapped by the error of [Find] when no text in memory proves
// itself.
var ErrNotFound = errors.New("no VMCOREINFO was found in the memory")

// ErrUnproved is wrapped by the error of [Prove] when the text lacks what the
// proof needs, so that it may still be right.
var ErrUnproved = errors.New("VMCOREINFO cannot be proved")

// Found is a VMCOREINFO that was found.
type Found struct {
	// Text is the text, without the zeros behind it.
	Text []byte
	// PA is the physical address of its first byte.
	PA uint64
	// Note: it is the description of an ELF note.
	Note bool
	// Rejected is the number of texts that were found before and are not this
	// kernel's.
	Rejected int
}

// Find searches all memory of src, in the order of addresses, and returns the
// first text that proves itself. One with a CRASHTIME counts only when no other
// does: in the memory of a machine that runs, it comes from a file. Memory that
// cannot be read is skipped. It reads each byte once and keeps about 1 MiB of
// them, and proves at most 4096 texts. The error wraps [ErrNotFound], or is ctx's.
func Find(ctx context.Context, src vmcore.Source) (*Found, error) {
	mem, err := src.NewReader()
	if err != nil {
		return nil, fmt.Errorf("search for VMCOREINFO: %w", err)
	}
	defer mem.Close()
	s := scan{mem: mem, machine: src.Machine()}
	for _, r := range src.RAM() {
		if err := s.search(ctx, r); err != nil {
			return nil, fmt.Errorf("search for VMCOREINFO: %w", err)
		}
		if s.found != nil || s.tried >= maxTries {
			break
		}
	}
	if s.found == nil {
		s.found = s.second
	}
	switch {
	case s.found != nil:
		return s.found, nil
	case s.rejected == 0:
		return nil, ErrNotFound
	}
	return nil, fmt.Errorf("%w: %d texts look like one, but are not this kernel's: %w", ErrNotFound, s.rejected, s.why)
}

// Prove checks that the VMCOREINFO text describes the kernel in mem: its page
// tables lead to the kernel's name, and that has the same release. The error
// wraps [ErrUnproved] when the text lacks a key that the check needs.
func Prove(text []byte, machine elf.Machine, mem kernel.Memory) error {
	info, err := kernel.ParseInfo(text)
	if err != nil {
		return err
	}
	_, named := info.Symbol("init_uts_ns")
	_, top := info.Symbol("swapper_pg_dir")
	if !top {
		_, top = info.Symbol("init_top_pgt")
	}
	if !named || !top {
		return fmt.Errorf("%w: it lacks SYMBOL(init_uts_ns) or SYMBOL(swapper_pg_dir)", ErrUnproved)
	}
	space, err := kernel.NewSpace(info, machine, mem)
	if errors.Is(err, kernel.ErrArch) {
		return fmt.Errorf("%w: %w", ErrUnproved, err)
	}
	if err != nil {
		return err
	}
	if _, err = kernel.ReadUname(info, space); err != nil {
		return err
	}
	if info.Release == "" {
		return errors.New("it lacks OSRELEASE")
	}
	if len(space.Mended) > 0 {
		return errors.New(space.Mended[0])
	}
	return nil
}
