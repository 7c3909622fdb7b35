package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/filter"
)

const infoUsage = `usage: kdump-vmcore info [--pages] [--salvage] [--vmcoreinfo FILE] [--json] IN

Tells what the core IN is, which kernel it is from and why that died.

  --pages            also count the pages of each class; reads the whole memory map
  --salvage          take a core that is cut short
  --vmcoreinfo FILE  use this VMCOREINFO, not the core's
  --json             print JSON

exit codes: 0 complete, 1 failed, 2 wrong usage, 3 the core opens, but does not
tell everything
`

// coreInfo is what info --json prints. Sizes are bytes, times UTC.
type coreInfo struct {
	File     string `json:"file"`
	FileSize int64  `json:"file_bytes"`
	Format   string `json:"format"`

	Release  string     `json:"release,omitempty"`
	Version  string     `json:"version,omitempty"`
	Machine  string     `json:"machine"`
	Host     string     `json:"host,omitempty"`
	BuildID  string     `json:"build_id,omitempty"`
	Crashed  *time.Time `json:"crash_time,omitempty"`
	Panic    string     `json:"panic,omitempty"`
	Oops     string     `json:"oops,omitempty"`
	Records  int        `json:"log_records"`
	PageSize uint64     `json:"page_size"`
	RAM      uint64     `json:"ram_bytes"`
	CPUs     int        `json:"cpus"`

	// Of kdump-compressed files alone.
	Level      *int32  `json:"level,omitempty"`
	Codec      string  `json:"codec,omitempty"`
	Stored     *uint64 `json:"stored_pages,omitempty"`
	Incomplete bool    `json:"incomplete,omitempty"`

	Notes      []string          `json:"notes"`
	VMCoreInfo int               `json:"vmcoreinfo_bytes"`
	Pages      map[string]uint64 `json:"pages,omitempty"`
	Mended     []string          `json:"mended,omitempty"`
	Problems   []string          `json:"problems,omitempty"`
}

func runInfo(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("info", flag.ContinueOnError)
	pages := fs.Bool("pages", false, "")
	opt := sourceFlags(fs)
	asJSON := fs.Bool("json", false, "")
	files, code, done := c.parse(fs, infoUsage, args, 1, 1)
	if done {
		return code
	}
	core, err := openCore(ctx, files[0], *opt)
	if err != nil {
		return c.fail(err)
	}
	defer core.Close()
	c.note(core.mended)
	i := inspect(core)
	if *pages {
		if err := i.countPages(ctx, core); err != nil {
			return c.fail(err)
		}
	}
	c.warn(i.Problems)
	if len(i.Problems) > 0 {
		code = exitIncomplete
	}
	if *asJSON {
		return c.printJSON(i, code)
	}
	i.print(c.stdout)
	return code
}

// inspect gathers what is cheap to know.
func inspect(c *core) *coreInfo {
	i := &coreInfo{
		File: c.path, Format: c.src.Format(), Machine: machineName(c.src.Machine()),
		PageSize: c.src.PageSize(), VMCoreInfo: len(c.src.VMCoreInfo()), Mended: c.mended,
	}
	if fi, err := os.Stat(c.path); err == nil {
		i.FileSize = fi.Size()
	}
	for _, r := range c.src.RAM() {
		i.RAM += r.End - r.Start
	}
	i.addNotes(c.src)
	i.addHeader(c.src)
	problem := func(err error) { i.Problems = append(i.Problems, err.Error()) }
	if c.info != nil {
		i.Release, i.BuildID = printable(c.info.Release), printable(c.info.BuildID)
		if c.info.CrashTime > 0 {
			t := time.Unix(c.info.CrashTime, 0).UTC()
			i.Crashed = &t
		}
		for _, l := range c.info.Malformed {
			problem(fmt.Errorf("VMCOREINFO: malformed line %q", l))
		}
	}
	if c.spaceErr != nil { // nothing more can be read from memory
		problem(c.spaceErr)
		return i
	}
	if u, err := c.uname(); err != nil {
		problem(err)
	} else {
		i.Version, i.Host = printable(u.Version), printable(u.Nodename)
	}
	if log, err := c.log(); err != nil {
		problem(err)
	} else {
		i.Panic, i.Oops, i.Records = log.Panic, log.Oops, log.Count
		for _, w := range log.Warnings {
			problem(errors.New("kernel log: " + w))
		}
	}
	return i
}

func (i *coreInfo) countPages(ctx context.Context, c *core) error {
	if c.info == nil {
		return c.infoErr
	}
	if err := capture.CheckAddresses(c.src); err != nil {
		return err
	}
	// Level 31 asks for every class; nothing is written.
	res, err := filter.Scan(ctx, c.src, c.info, filter.Options{Level: 31})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	i.Pages = map[string]uint64{}
	for class, n := range res.Counts {
		i.Pages[class.String()] = n
	}
	i.Problems = append(i.Problems, res.Warnings...)
	return nil
}

func (i *coreInfo) print(w io.Writer) {
	line := func(name, format string, a ...any) {
		if s := fmt.Sprintf(format, a...); s != "" {
			fmt.Fprintf(w, "%-12s %s\n", name+":", s)
		}
	}
	kind, rest, _ := strings.Cut(i.Format, ", ")
	format := map[string]string{"elf": "ELF core", "kdump": "kdump-compressed"}[kind]
	if rest != "" {
		format += ", " + rest
	}
	if i.Level != nil {
		format += fmt.Sprintf(", level %d, %s", *i.Level, i.Codec)
	}
	if i.Incomplete {
		format += ", INCOMPLETE"
	}
	line("file", "%s, %s", i.File, capture.Bytes(uint64(i.FileSize)))
	line("format", "%s", format)
	line("release", "%s", i.Release)
	line("version", "%s", i.Version)
	line("machine", "%s", i.Machine)
	line("host", "%s", i.Host)
	line("build ID", "%s", i.BuildID)
	if i.Crashed != nil {
		line("crashed", "%s", i.Crashed.Format("2006-01-02 15:04:05 UTC"))
	}
	line("panic", "%s", i.Panic)
	line("oops", "%s", i.Oops)
	line("log", "%d records", i.Records)
	line("page size", "%d bytes", i.PageSize)
	line("RAM", "%s, %d pages", capture.Bytes(i.RAM), i.RAM/i.PageSize)
	if i.Stored != nil {
		line("stored", "%s, %d pages", capture.Bytes(*i.Stored*i.PageSize), *i.Stored)
	}
	line("CPUs", "%d", i.CPUs)
	line("notes", "%s", strings.Join(i.Notes, ", "))
	line("VMCOREINFO", "%d bytes", i.VMCoreInfo)
	for _, class := range sortedKeys(i.Pages) {
		line("  "+class, "%s, %d pages", capture.Bytes(i.Pages[class]*i.PageSize), i.Pages[class])
	}
}
