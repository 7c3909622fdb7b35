package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/guest/canary"
)

const (
	mib  = 1 << 20
	huge = 2 * mib
	// smallFree is freed page by page, and so by way of the CPUs' own lists.
	smallFree = 16 * mib
)

// marks are the canaries of a process.
type marks struct {
	report *canary.Report
	free   [][]byte // to be given back
	young  []byte   // a mapping of a file without pages, to be marked last
}

// youngPages are fewer than a CPU lets wait, and so wait to the end.
const youngPages = 8

func markAll(dir string) (*marks, error) {
	rep := &canary.Report{Pages: map[string]int{}}
	mark := func(p []byte, c canary.Class) {
		canary.Mark(p, c, 0)
		rep.Pages[c.String()] = len(p) / canary.PageSize
	}
	// What is given back later comes first: nothing else is to have its pages.
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
	young, err := mapped(func() (*os.File, error) {
		fd, err := unix.MemfdCreate("young", 0)
		return os.NewFile(uintptr(fd), "memfd"), err
	}, youngPages*canary.PageSize)
	if err != nil {
		return nil, err
	}
	rep.Pages[canary.Young.String()] = youngPages
	return &marks{report: rep, free: [][]byte{freedLock, freedHuge, freed}, young: young}, nil
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
