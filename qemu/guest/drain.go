package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A page that is given back waits on a list of its CPU, where it bears no mark, until
// that CPU has given back enough others; and one that came to page cache waits on
// another such list before it is on the LRU. A kernel that goes on working empties
// these lists in time; from a program, this does, with no other effect: taking a block
// of memory offline that cannot go (mm/memory_hotplug.c, offline_pages) empties them
// all and only then finds out.

// memoryBlocks has a directory for each block, that root may take offline.
const memoryBlocks = "/sys/devices/system/memory/"

// drainFile opens the state of a block that cannot go offline: what is reserved for the
// crash kernel is in it.
func drainFile() (*os.File, error) {
	size, err := hexFile(memoryBlocks + "block_size_bytes")
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile("/proc/iomem")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		var start, end uint64
		if n, _ := fmt.Sscanf(strings.TrimSpace(line), "%x-%x : Crash kernel", &start, &end); n == 2 && strings.Contains(line, "Crash kernel") {
			// whole blocks of the reservation would go, were it not for it
			return os.OpenFile(filepath.Join(memoryBlocks, "memory"+strconv.FormatUint(start/size, 10), "state"), os.O_WRONLY, 0)
		}
	}
	return nil, errors.New("no crash kernel in /proc/iomem")
}

func hexFile(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 16, 64)
}

// drainCPUs empties the lists of all CPUs.
func drainCPUs(state io.Writer) error {
	_, err := io.WriteString(state, "offline")
	if err == nil {
		return errors.New("a block of memory went offline that the crash kernel needs")
	}
	if !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("taking memory offline failed for another reason than that it is needed: %w", err)
	}
	return nil
}

// heldByCPUs is how many free pages are on the lists of CPUs.
func heldByCPUs() (int, error) {
	b, err := os.ReadFile("/proc/zoneinfo")
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "count:" {
			c, err := strconv.Atoi(f[1])
			if err != nil {
				return 0, err
			}
			n += c
		}
	}
	return n, nil
}
