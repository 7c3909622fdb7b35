package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/source"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// report prints what became of the pages, when it was asked for.
func (f *face) report(level int, res *capture.SaveResult) {
	if f.opt.messages&levelReport == 0 || res.RAMPages == 0 {
		return
	}
	f.endProgress()
	w := f.out()
	row := func(name string, n uint64) { fmt.Fprintf(w, "%-26s %12d\n", name, n) }
	fmt.Fprintf(w, "%-26s %12s\n", fmt.Sprintf("level %d", level), "pages")
	row("RAM", res.RAMPages)
	for _, class := range sortedKeys(res.Pages) {
		if class != filter.Kept.String() {
			row("  "+class, res.Pages[class])
		}
	}
	row("  unreadable", res.UnreadablePages)
	row("  left out, for want of room", res.LeftOutPages)
	row("stored", res.StoredPages)
	for _, s := range res.Steps {
		fmt.Fprintf(w, "%-26s %12.3f s\n", s.Name, s.Seconds)
	}
	fmt.Fprintf(w, "%-26s %12d bytes\n", "written", res.Bytes)
}

// dmesg writes the kernel log.
func (f *face) dmesg(ctx context.Context) error {
	core, err := openCore(ctx, f.opt.operands[0], source.Options{VMCoreInfo: f.opt.vmcoreinfo})
	if err != nil {
		return err
	}
	defer core.Close()
	if f.opt.vmlinux != "" {
		if err := checkKernel(core.src, f.opt.vmlinux); err != nil {
			return err
		}
	}
	f.tell(core.src)
	log, err := core.log()
	if err != nil {
		return err
	}
	if f.opt.flat {
		err = log.WriteText(f.stdout)
	} else if err = checkOut(f.opt.operands[0], f.opt.operands[1]); err == nil {
		err = writeFile(f.opt.operands[1], f.opt.force, func(w io.Writer) error { return log.WriteText(w) })
	}
	if err != nil {
		return err
	}
	f.warn(log.Warnings)
	if !f.opt.flat {
		f.common("%s: %d records", f.opt.operands[1], log.Count)
	}
	return nil
}

// tell prints VMCOREINFO as a debugging message: scripts look for its lines.
func (f *face) tell(src vmcore.Source) {
	for line := range strings.Lines(string(src.VMCoreInfo())) {
		f.debug("  %s", strings.TrimRight(line, "\n"))
	}
}
