package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/canary"
)

// canaryArg is argument 0 of the process that holds the canaries; argument 1 is
// a directory on the disk.
const canaryArg = "canary"

// canaries starts the process that holds them and says its report.
func canaries(dir string) error {
	// what is dirty stays so
	// and the lists of free pages of CPUs stay short
	const vm, thp = "/proc/sys/vm/", "/sys/kernel/mm/transparent_hugepage/"
	for name, value := range map[string]string{
		vm + "dirty_writeback_centisecs": "0", vm + "dirty_expire_centisecs": "360000",
		vm + "dirty_background_ratio": "90", vm + "dirty_ratio": "95", vm + "nr_hugepages": "4",
		vm + "percpu_pagelist_high_fraction": "100000",
		thp + "enabled":                      "madvise", thp + "defrag": "madvise", // off by default on small machines
	} {
		if err := os.WriteFile(name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.Cmd{
		Path: "/init", Args: []string{canaryArg, dir}, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var rep canary.Report
	if err := json.NewDecoder(out).Decode(&rep); err != nil {
		return fmt.Errorf("the canaries did not come up: %w", err)
	}
	b, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	say("%s%s", canary.ReportPrefix, b)
	return nil
}

// hold is the life of the process that holds the canaries.
func hold(dir string) {
	rep, err := markAll(dir)
	if err != nil {
		fmt.Fprintf(os.Stderr, "canaries: %v\n", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(rep); err != nil {
		os.Exit(1)
	}
	for {
		time.Sleep(time.Hour)
	}
}

const (
	mib  = 1 << 20
	huge = 2 * mib
	// smallFree is freed page by page, and so by way of the CPUs' own lists.
	smallFree = 16 * mib
)

func markAll(dir string) (*canary.Report, error) {
	rep := &canary.Report{Pages: map[string]int{}}
	mark := func(p []byte, c canary.Class) {
		canary.Mark(p, c, 0)
		rep.Pages[c.String()] = len(p) / canary.PageSize
	}
	// Freed memory first: nothing else is to come from it, but it cannot be
	// unmapped before the rest has its pages.
	freed, err := anonymous(smallFree, unix.MADV_NOHUGEPAGE)
	if err != nil {
		return nil, err
	}
	mark(freed, canary.Freed)
	freedHuge, err := anonymous(16*mib, unix.MADV_HUGEPAGE)
	if err != nil {
		return nil, err
	}
	mark(freedHuge, canary.FreedTHP)
	freedLock, err := anonymous(4*mib, unix.MADV_NOHUGEPAGE)
	if err != nil {
		return nil, err
	}
	if err := unix.Mlock(freedLock); err != nil {
		return nil, fmt.Errorf("mlock: %w", err)
	}
	mark(freedLock, canary.FreedLock)

	anon, err := anonymous(8*mib, unix.MADV_NOHUGEPAGE)
	if err != nil {
		return nil, err
	}
	mark(anon, canary.Anon)
	thp, err := anonymous(16*mib, unix.MADV_HUGEPAGE)
	if err != nil {
		return nil, err
	}
	mark(thp, canary.THP)
	locked, err := anonymous(4*mib, unix.MADV_NOHUGEPAGE)
	if err != nil {
		return nil, err
	}
	if err := unix.Mlock(locked); err != nil {
		return nil, fmt.Errorf("mlock: %w", err)
	}
	mark(locked, canary.Locked)
	tlb, err := unix.Mmap(-1, 0, 4*huge, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_HUGETLB)
	if err != nil {
		return nil, fmt.Errorf("hugetlb: %w", err)
	}
	mark(tlb, canary.Hugetlb)
	for _, f := range []struct {
		class canary.Class
		open  func() (*os.File, error)
	}{
		{canary.Shmem, func() (*os.File, error) { return os.Create("/tmp/canary") }},
		{canary.Memfd, func() (*os.File, error) {
			fd, err := unix.MemfdCreate("canary", 0)
			return os.NewFile(uintptr(fd), "memfd"), err
		}},
		{canary.Dirty, func() (*os.File, error) { return os.Create(filepath.Join(dir, canary.DirtyFile)) }},
	} {
		// by a mapping: write(2) would need a buffer, which held a copy
		p, err := mapped(f.open, 4*mib)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", f.class, err)
		}
		mark(p, f.class)
	}
	clean, err := readFile(filepath.Join(dir, canary.CleanFile))
	if err != nil {
		return nil, err
	}
	rep.Pages[canary.Clean.String()] = len(clean) / canary.PageSize

	if rep.HugeKiB, err = smapsKiB(thp, "AnonHugePages:"); err != nil {
		return nil, err
	}
	if rep.DirtyKiB, err = field("/proc/meminfo", "Dirty:"); err != nil {
		return nil, err
	}
	// Pages wait on CPUs before they come to the lists by which they are known.
	// This drains those; what is mapped is not dropped.
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0o644); err != nil {
		return nil, err
	}
	for _, p := range [][]byte{freedLock, freedHuge, freed} {
		// not unix.Munmap: that takes back whole mappings only
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, address(p), uintptr(len(p)), 0); errno != 0 {
			return nil, fmt.Errorf("munmap: %w", errno)
		}
	}
	rep.Held, err = heldByCPUs()
	return rep, err
}

// anonymous maps n bytes of private memory at a multiple of 2 MiB. The mapping
// is larger; what is around stays untouched.
func anonymous(n, advice int) ([]byte, error) {
	p, err := unix.Mmap(-1, 0, n+huge, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	p = p[-address(p)&(huge-1):][:n]
	if err := unix.Madvise(p, advice); err != nil {
		return nil, fmt.Errorf("madvise %d: %w", advice, err)
	}
	return p, nil
}

func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// mapped maps n bytes of a new file.
func mapped(open func() (*os.File, error), n int) ([]byte, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(n)); err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// readFile brings a file into the page cache by touching a mapping of it.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	var n [canary.NumClasses]int
	canary.Count(p, &n)
	if n[canary.Clean] != len(p)/canary.PageSize*canary.Pieces {
		return nil, fmt.Errorf("%s does not hold canaries: %v", path, n)
	}
	return p, nil
}

// smapsKiB is a field of the mapping that holds p.
func smapsKiB(p []byte, name string) (int, error) {
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return 0, err
	}
	total := 0
	want := false
	at := uint64(address(p))
	for line := range strings.Lines(string(b)) {
		var from, to uint64
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			want = from < at+uint64(len(p)) && at < to
		} else if rest, ok := strings.CutPrefix(line, name); ok && want {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				return 0, err
			}
			total += kib
		}
	}
	return total, nil
}

// field is a number of a file of lines of names and numbers.
func field(path, name string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return strconv.Atoi(f[1])
		}
	}
	return 0, errors.New(path + " has no " + name)
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
