package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// kcore is the memory of the running system.
const kcore = "/proc/kcore"

// memUsage counts the pages of each kind, of the running system or of a core.
func (f *face) memUsage(ctx context.Context) error {
	src, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := capture.CheckAddresses(src); err != nil {
		return err
	}
	info, err := kernel.ParseInfo(src.VMCoreInfo())
	if err != nil {
		return err
	}
	res, err := filter.Scan(ctx, src, info, filter.Options{Level: filter.LevelMax, Workers: f.opt.threads})
	if err != nil {
		return err
	}
	f.warn(res.Warnings)
	if f.opt.operands[0] == kcore {
		if err := withoutCrashKernel(res, src.PageSize()); err != nil {
			f.warn([]string{fmt.Sprintf("memory of the crash kernel is counted: %v", err)})
		}
	}
	zero, err := f.zeroPages(ctx, src, res)
	if err != nil {
		return err
	}
	fmt.Fprintf(f.stdout, "%-16s %12s %5s  %s\n", "kind", "pages", "level", "what it is")
	row := func(kind string, n uint64, level, what string) {
		fmt.Fprintf(f.stdout, "%-16s %12d %5s  %s\n", kind, n, level, what)
	}
	row("zero", zero, "1", "pages of zeros among the kernel's")
	row("cache", res.Counts[filter.Cache], "2", "page cache")
	row("cache-private", res.Counts[filter.CachePrivate], "4", "page cache with private data")
	row("user", res.Counts[filter.User], "8", "anonymous memory and huge pages of processes")
	row("free", res.Counts[filter.Free], "16", "free pages")
	row("hwpoison", res.Counts[filter.HWPoison], "any", "pages with memory errors")
	row("offline", res.Counts[filter.Offline], "any", "pages that a hypervisor has taken")
	row("kernel", res.Counts[filter.Kept]-zero, "never", "always in the dump")
	total := res.RAM.Len()
	fmt.Fprintf(f.stdout, "%-16s %12d        %s, pages of %d bytes\n", "all", total, capture.Bytes(total*src.PageSize()), src.PageSize())
	return nil
}

// zeroPages counts the pages of zeros among those that level 31 keeps.
func (f *face) zeroPages(ctx context.Context, src vmcore.Source, res *filter.Result) (zero uint64, err error) {
	mem, err := src.NewReader()
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	size, total := src.PageSize(), res.Keep.Len()
	page, zeros := make([]byte, size), make([]byte, size)
	var done uint64
	for pfn, ok := res.Keep.Next(0); ok; pfn, ok = res.Keep.Next(pfn + 1) {
		if done++; done%1024 == 0 {
			if err := context.Cause(ctx); err != nil {
				return 0, err
			}
			f.event(capture.Event{Step: "read", Progress: &capture.Progress{Done: done, Total: total}})
		}
		// What cannot be read of a running system is device memory or gone.
		if mem.ReadPhys(page, pfn*size) == nil && bytes.Equal(page, zeros) {
			zero++
		}
	}
	f.endProgress()
	return zero, nil
}

// withoutCrashKernel takes what is reserved for the crash kernel out of res: no
// dump has it, but the running system calls it RAM.
func withoutCrashKernel(res *filter.Result, pageSize uint64) error {
	f, err := os.Open("/proc/iomem")
	if err != nil {
		return err
	}
	defer f.Close()
	ranges, err := crashKernel(f)
	for _, r := range ranges {
		res.RAM.RemoveRange(r.Start/pageSize, r.End/pageSize)
		res.Keep.RemoveRange(r.Start/pageSize, r.End/pageSize)
	}
	res.Counts[filter.Kept] = res.Keep.Len()
	return err
}

// crashKernel gives the memory that /proc/iomem says is reserved for the crash
// kernel. Who is not root sees zeros there.
func crashKernel(r io.Reader) (all []vmcore.Range, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		span, name, ok := strings.Cut(strings.TrimSpace(lines.Text()), " : ")
		if !ok || name != "Crash kernel" {
			continue
		}
		from, to, _ := strings.Cut(span, "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		last, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || last <= start || last+1 == 0 {
			return all, fmt.Errorf("/proc/iomem: %q", lines.Text())
		}
		all = append(all, vmcore.Range{Start: start, End: last + 1})
	}
	return all, lines.Err()
}
