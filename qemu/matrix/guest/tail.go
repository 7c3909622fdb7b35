package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Bits of /proc/kpageflags (include/uapi/linux/kernel-page-flags.h).
const (
	kpfHead = 1 << 15
	kpfTail = 1 << 16
	// what is on it is a process's, a file's, or of a slab: not just the kernel's
	kpfOthers = 1<<5 | 1<<7 | 1<<10 | 1<<11 | 1<<12 | 1<<17 | 1<<22 | 1<<23
)

// hardOffline takes the physical address of a page that is to have a memory error.
const hardOffline = "/sys/devices/system/memory/hard_offline_page"

// poisonTail makes a memory error in the last page of a block of four that the kernel
// took for itself, and that it cannot give up. The block is the array of a pipe that
// was made long: 256 entries of 40 bytes, which do not reach into the last page.
func poisonTail(pipes int) error {
	if _, err := os.Stat(hardOffline); err != nil {
		return err
	}
	before, err := blocks()
	if err != nil {
		return err
	}
	for range 8 * pipes {
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			return err
		}
		if _, err := unix.FcntlInt(uintptr(p[0]), unix.F_SETPIPE_SZ, 1<<20); err != nil {
			return fmt.Errorf("pipe: %w", err)
		}
	}
	after, err := blocks()
	if err != nil {
		return err
	}
	for _, head := range slices.Sorted(maps.Keys(after)) {
		if before[head] {
			continue
		}
		// The kernel reports that it can do nothing about it; the mark stays.
		err := os.WriteFile(hardOffline, fmt.Appendf(nil, "%#x", (head+3)<<12), 0)
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EIO) {
			return err
		}
		say("a memory error in page %#x of the kernel's block at %#x: %v", head+3, head, err)
		return nil
	}
	return errors.New("no such block of the kernel's own")
}

// blocks are the first pages of all blocks of four that are the kernel's own.
func blocks() (map[uint64]bool, error) {
	flags, err := os.ReadFile("/proc/kpageflags")
	if err != nil {
		return nil, err
	}
	at := func(i int) uint64 {
		if (i+1)*8 > len(flags) {
			return 0
		}
		return binary.NativeEndian.Uint64(flags[i*8:])
	}
	found := map[uint64]bool{}
	for i := range len(flags) / 8 {
		if at(i)&(kpfHead|kpfOthers) != kpfHead || at(i+4)&kpfTail != 0 {
			continue
		}
		if at(i+1)&at(i+2)&at(i+3)&kpfTail != 0 {
			found[uint64(i)] = true
		}
	}
	return found, nil
}
