package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/qemu/matrix/spec"
)

// madvSoftOffline is MADV_SOFT_OFFLINE of include/uapi/asm-generic/mman-common.h,
// which x/sys lacks.
const madvSoftOffline = 101

// work is the life of a worker: it takes memory of its kind, says so on its
// standard output and sleeps.
func work(kind, count string) {
	n, err := strconv.Atoi(count)
	if err == nil {
		_ = os.WriteFile("/proc/self/comm", []byte(spec.WorkerName), 0)
		err = take(kind, n)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if kind == "brief" {
		fmt.Println("done")
		os.Exit(0)
	}
	fmt.Println("up")
	for {
		time.Sleep(time.Hour)
	}
}

// take maps and touches memory that is never given back.
func take(kind string, n int) error {
	const huge = unix.MAP_HUGETLB
	switch kind {
	case "anon": // MiB in the upper bits, the worker's number in the lower 8
		if err := anon(n >> 8); err != nil {
			return err
		}
		name := fmt.Sprintf("/tmp/worker%d", n&0xff)
		if err := os.WriteFile(name, bytes.Repeat([]byte("matrix tmpfs\n"), 1<<20/13), 0o600); err != nil {
			return err
		}
		b, err := touch(1<<20, 0, "matrix locked")
		if err != nil {
			return err
		}
		return unix.Mlock(b)
	case "brief":
		return anon(n)
	case "thp":
		b, err := unix.Mmap(-1, 0, (n+2)<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		// A pattern is to lie in whole huge pages only.
		skip := int(-uintptr(unsafe.Pointer(&b[0])) & (2<<20 - 1))
		b = b[skip : skip+n<<20]
		if err := unix.Madvise(b, unix.MADV_HUGEPAGE); err != nil {
			return fmt.Errorf("huge pages: %w", err)
		}
		stamp(b, "matrix thp")
		return nil
	case "huge":
		_, err := touch(n<<21, huge|21<<26, "matrix hugetlb 2 MiB")
		return err
	case "gigantic":
		_, err := touch(n<<30, huge|30<<26, "matrix hugetlb 1 GiB")
		return err
	case "poison", "soft":
		b, err := touch(n<<12, 0, "matrix poison")
		if err != nil {
			return err
		}
		advice := unix.MADV_HWPOISON
		if kind == "soft" {
			advice = madvSoftOffline
		}
		return unix.Madvise(b[1<<12:2<<12], advice)
	case "poisonhuge":
		b, err := touch(1<<21, huge|21<<26, "matrix poisoned hugetlb")
		if err != nil {
			return err
		}
		return unix.Madvise(b[3<<12:4<<12], unix.MADV_HWPOISON)
	}
	if kind == "poisontail" {
		return poisonTail(n)
	}
	return fmt.Errorf("no memory of the kind %q", kind)
}

// anon takes n MiB in small pages.
func anon(n int) error {
	b, err := unix.Mmap(-1, 0, n<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) // a kernel without them has small ones
	stamp(b, "matrix anonymous")
	return nil
}

func touch(size, flags int, text string) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|flags)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d bytes: %w", size, err)
	}
	stamp(b, text)
	return b, nil
}

// stamp writes a text into every page, or every 16th of what is very large.
func stamp(b []byte, text string) {
	step := 1 << 12
	if len(b) >= 1<<30 {
		step <<= 4
	}
	for at := 0; at < len(b); at += step {
		copy(b[at:], fmt.Sprintf("%s %d\n", text, at))
	}
}
