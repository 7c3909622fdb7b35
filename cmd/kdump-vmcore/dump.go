package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/vmcore"
)

const dumpUsage = `usage: kdump-vmcore dump [-d LEVEL] [-c CODEC] [-f] [--workers N] [--verify-all]
                         [--salvage] [--vmcoreinfo FILE] [--json] IN OUT
       kdump-vmcore dump --dry-run [-d LEVEL] ... IN

Filters the core IN and writes OUT, a kdump-compressed file that crash and drgn
open. IN is an ELF core (QEMU's and libvirt's too) or a kdump-compressed file, both
flattened or not; what was left out of IN stays out. OUT is OUT.incomplete until
it is written, synced and verified: all of its structure, that the pages that
every reader needs are there, and that a sample of all pages decodes.

  -d LEVEL     what to leave out, the sum of: 1 pages of zeros, 2 page cache,
               4 page cache with private data too, 8 user memory, 16 free pages
               (default 31)
  -c CODEC     zstd, zlib, lzo, snappy or none (default zstd)
  -f           overwrite OUT and OUT.incomplete
  --workers N  goroutines that read and compress, at most one for each CPU, which
               is the default
  --dry-run    only filter: tell how many pages would be in OUT
  --verify-all decode every page after writing
  --salvage    take a core that is cut short; lost pages are left out
  --vmcoreinfo FILE
               use this VMCOREINFO, not the core's: its text, or its ELF note
  --json       print the result as JSON

A core without VMCOREINFO, as hypervisors make them, is searched for the one in
its kernel's memory.

An interrupt (Ctrl-C), or a full disk, ends the dump early: OUT.incomplete then
is a sound dump with fewer pages.

exit codes: 0 complete, 1 failed, 2 wrong usage, 3 incomplete but usable
`

// maxWorkers is far above any use; it keeps a slip of the finger from taking
// all memory.
const maxWorkers = 1024

// dumpResult is what dump --json prints. Pages are counted, sizes are bytes.
type dumpResult struct {
	Result     capture.Result    `json:"result"`
	Error      string            `json:"error,omitempty"`
	In         string            `json:"in"`
	Out        string            `json:"out,omitempty"`
	Level      int               `json:"level"`
	Codec      string            `json:"codec"`
	Workers    int               `json:"workers,omitempty"`
	Bytes      int64             `json:"bytes,omitempty"`
	PageSize   uint64            `json:"page_size,omitempty"`
	RAM        uint64            `json:"ram_pages,omitempty"`
	Stored     uint64            `json:"stored_pages,omitempty"`
	LeftOut    uint64            `json:"left_out_pages,omitempty"`
	Essential  uint64            `json:"kernel_pages_missing,omitempty"` // of the kernel itself
	Unreadable uint64            `json:"unreadable_pages,omitempty"`
	Pages      map[string]uint64 `json:"pages,omitempty"`
	Seconds    float64           `json:"seconds"`
	Steps      []capture.Step    `json:"steps,omitempty"`
	Mended     []string          `json:"mended,omitempty"` // on opening
	Warnings   []string          `json:"warnings,omitempty"`
}

func runDump(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("dump", flag.ContinueOnError)
	save := addSaveFlags(fs, new(31), "zstd")
	from := sourceFlags(fs)
	asJSON := fs.Bool("json", false, "")
	dry := fs.Bool("dry-run", false, "")
	files, code, done := c.parse(fs, dumpUsage, args, 1, 2)
	if done {
		return code
	}
	switch {
	case *dry && len(files) > 1:
		return c.usageError("dump", fmt.Errorf("--dry-run writes nothing, so %s is too much", files[1]))
	case !*dry && len(files) < 2:
		return c.usageError("dump", errors.New("2 files needed, 1 given"))
	}
	opt, err := save.options("")
	if err != nil {
		return c.usageError("dump", err)
	}
	r := dumpResult{In: files[0], Level: opt.Level, Codec: opt.Codec.String()}
	start := time.Now()
	in, mended, err := openSource(ctx, files[0], *from)
	if err != nil {
		return c.report(r, "", &capture.SaveResult{}, err, time.Since(start), *asJSON)
	}
	defer in.Close()
	c.note(mended)
	r.Mended = mended
	if *dry {
		return c.dryRun(ctx, r, in, opt, start, *asJSON)
	}
	name, res, err := makeDump(ctx, c, in, files[0], files[1], *save.force, opt, capture.Save)
	return c.report(r, name, res, err, time.Since(start), *asJSON)
}

// dryRun tells what a dump would hold. r has what was asked for.
func (c *cli) dryRun(ctx context.Context, r dumpResult, src vmcore.Source, opt capture.SaveOptions, start time.Time, asJSON bool) int {
	p := newProgress(c.stderr)
	opt.Event = p.event
	res, err := capture.Filter(ctx, src, opt)
	p.done()
	if err != nil || asJSON {
		return c.report(r, "", res, err, time.Since(start), asJSON)
	}
	c.warn(res.Warnings)
	fmt.Fprintf(c.stdout, "%s: %d of %d pages would be stored, %s before compression, level %d, %s\n",
		r.In, res.StoredPages, res.RAMPages, capture.Bytes(res.StoredPages*res.PageSize), r.Level, took(time.Since(start).Seconds()))
	return exitOK
}

// report tells what became of a dump, and gives the exit code. r has what was
// asked for, res, which is never nil, what was done.
func (c *cli) report(r dumpResult, name string, res *capture.SaveResult, err error, spent time.Duration, asJSON bool) int {
	r.Result, r.Out, r.Workers, r.Seconds = capture.Complete, name, res.Workers, spent.Seconds()
	r.Bytes, r.PageSize, r.RAM, r.Stored, r.LeftOut = res.Bytes, res.PageSize, res.RAMPages, res.StoredPages, res.LeftOutPages
	r.Essential, r.Unreadable, r.Pages, r.Steps = res.EssentialMissing, res.UnreadablePages, res.Pages, res.Steps
	r.Warnings = append(r.Warnings, res.Warnings...)
	c.warn(res.Warnings)
	code := exitOK
	switch {
	case err != nil:
		r.Result, r.Error = capture.Failed, err.Error()
		code = c.fail(err)
	case res.Partial:
		r.Result, r.Error = capture.Partial, res.Cause.Error()
		code = exitIncomplete
		fmt.Fprintf(c.stderr, "kdump-vmcore: error: ended early: %v\n", res.Cause)
		fmt.Fprintf(c.stderr, "hint: %s\n", partialHint(name, res))
		if !res.Opens {
			r.Result, code = capture.Failed, exitFailed
		}
	case res.UnreadablePages > 0:
		r.Result, code = capture.Partial, exitIncomplete
		if !res.Opens {
			fmt.Fprintf(c.stderr, "hint: %s\n", partialHint(name, res))
		}
	}
	if asJSON {
		return c.printJSON(r, code)
	}
	if err == nil {
		fmt.Fprintf(c.stdout, "%s: %s, %d of %d pages, %s, level %d, %s\n", name, capture.Bytes(uint64(r.Bytes)), r.Stored, r.RAM, r.Codec, r.Level, took(r.Seconds))
	}
	return code
}

// partialHint tells what a dump that was cut short is good for.
func partialHint(name string, res *capture.SaveResult) string {
	if !res.Opens {
		return fmt.Sprintf("crash and drgn cannot open %s: pages that they need are not in it", name)
	}
	s := fmt.Sprintf("%s opens in crash and drgn, but lacks %d pages that belong in it", name, res.LeftOutPages)
	if res.EssentialMissing > 0 {
		s += fmt.Sprintf(", %d of them the kernel's own: tasks and stacks may be missing", res.EssentialMissing)
	}
	return s
}

// saver writes a dump in some format: capture.Save is one.
type saver func(context.Context, vmcore.Source, capture.SaveOutput, capture.SaveOptions) (*capture.SaveResult, error)

// makeDump is makeFile with progress on a terminal.
func makeDump(ctx context.Context, c *cli, src vmcore.Source, in, out string, force bool, opt capture.SaveOptions, save saver) (string, *capture.SaveResult, error) {
	p := newProgress(c.stderr)
	defer p.done()
	opt.Event = p.event
	return makeFile(ctx, src, in, out, force, opt, save)
}

// makeFile makes out from src, the core in, and gives the name that the file has
// in the end. The result is never nil.
func makeFile(ctx context.Context, src vmcore.Source, in, out string, force bool, opt capture.SaveOptions, save saver) (string, *capture.SaveResult, error) {
	none := &capture.SaveResult{}
	if err := checkOut(in, out); err != nil {
		return "", none, err
	}
	f, done, err := createOut(out, force)
	if err != nil {
		return "", none, err
	}
	defer done()
	res, err := save(ctx, src, f, opt)
	left := unfinished(out, f)
	switch {
	case err != nil && res.Bytes == 0: // nothing in it that could be evidence
		return "", res, errors.Join(err, f.Abandon(), os.Remove(left))
	case err != nil, res.Partial:
		return left, res, errors.Join(err, f.Abandon())
	}
	if err := f.Commit(); err != nil {
		return left, res, err
	}
	return out, res, nil
}

// checkOut refuses an output that would be lost or would destroy the input.
func checkOut(in, out string) error {
	parent := filepath.Dir(out)
	if fi, err := os.Stat(parent); err != nil {
		return hinted{fmt.Errorf("directory of the output: %w", err), "make it first: mkdir -p " + parent}
	} else if !fi.IsDir() {
		return fmt.Errorf("directory of the output: %s is not a directory", parent)
	}
	was, err := os.Stat(out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !was.Mode().IsRegular() {
		return hinted{fmt.Errorf("output %s is there and is not a regular file", out), "give the path of a file; a dump is not written in one go, so no pipe can take it"}
	}
	if fi, err := os.Stat(in); err == nil && os.SameFile(fi, was) {
		return hinted{fmt.Errorf("%s and %s are the same file", in, out), "give the output another name"}
	}
	return nil
}

// printJSON prints v; a result that cannot be printed is a failure.
func (c *cli) printJSON(v any, code int) int {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = c.stdout.Write(append(b, '\n'))
	}
	if err != nil {
		return c.fail(fmt.Errorf("print the result: %w", err))
	}
	return code
}
