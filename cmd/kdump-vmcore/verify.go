package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/source"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

const verifyUsage = `usage: kdump-vmcore verify [--vmcoreinfo FILE] [--json] IN

Checks the core IN from end to end: headers, descriptors, each page (which is
decompressed), the kernel's own description, its page tables and its log.

  --vmcoreinfo FILE  use this VMCOREINFO, not the core's
  --json             print the result as JSON

exit codes: 0 complete, 1 damaged, 2 wrong usage, 3 sound, but its writer says
that pages are missing
`

// maxProblems bounds how many problems are listed.
const maxProblems = 10

// verifyResult is what verify --json prints.
type verifyResult struct {
	Result   capture.Result `json:"result"`
	File     string         `json:"file"`
	Format   string         `json:"format,omitempty"`
	Pages    uint64         `json:"pages"`     // read
	BadPages uint64         `json:"bad_pages"` // of them, not readable
	Problems []string       `json:"problems,omitempty"`
}

func runVerify(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("verify", flag.ContinueOnError)
	var opt source.Options
	fs.StringVar(&opt.VMCoreInfo, "vmcoreinfo", "", "")
	asJSON := fs.Bool("json", false, "")
	files, code, done := c.parse(fs, verifyUsage, args, 1, 1)
	if done {
		return code
	}
	r := &verifyResult{Result: capture.Complete, File: files[0]}
	var hintErr error
	core, err := openCore(ctx, files[0], opt)
	if err != nil {
		hintErr = err
		r.problem(err)
	} else {
		defer core.Close()
		c.note(core.mended)
		r.Format = core.src.Format()
		r.checkKernel(core)
		p := newProgress(c.stderr)
		r.checkPages(ctx, core.src, p)
		p.done()
	}
	code = exitOK
	switch {
	case len(r.Problems) > 0:
		r.Result, code = capture.Failed, exitFailed
		for _, s := range r.Problems {
			fmt.Fprintf(c.stderr, "kdump-vmcore: error: %s\n", s)
		}
		if h := hint(hintErr); h != "" {
			fmt.Fprintf(c.stderr, "hint: %s\n", h)
		}
	case incomplete(core.src):
		r.Result, code = capture.Partial, exitIncomplete
		c.warn([]string{"the header says that pages are missing"})
	}
	if *asJSON {
		return c.printJSON(r, code)
	}
	if code == exitFailed {
		fmt.Fprintf(c.stdout, "%s: damaged\n", files[0])
	} else {
		fmt.Fprintf(c.stdout, "%s: %s, %d pages read\n", files[0], r.Result, r.Pages)
	}
	return code
}

// problem notes what is wrong; only the first ones are kept.
func (r *verifyResult) problem(err error) {
	switch {
	case len(r.Problems) < maxProblems:
		r.Problems = append(r.Problems, err.Error())
	case len(r.Problems) == maxProblems:
		r.Problems = append(r.Problems, "and more")
	}
}

func incomplete(src vmcore.Source) bool {
	k, ok := src.(vmcore.Kdump)
	return ok && k.Header().Status&kdumpfmt.FlagIncomplete != 0
}

// checkKernel checks what every reader needs first.
func (r *verifyResult) checkKernel(c *core) {
	if c.spaceErr != nil {
		r.problem(c.spaceErr)
		return
	}
	if k, ok := c.src.(vmcore.Kdump); ok && k.Header().Split != 0 {
		return // what a reader needs may be in another file of the set
	}
	if _, err := c.uname(); err != nil {
		r.problem(err)
	}
	if _, err := c.log(); err != nil {
		r.problem(err)
	}
}

func (r *verifyResult) checkPages(ctx context.Context, src vmcore.Source, p *progress) {
	if k, ok := src.(vmcore.Kdump); ok {
		r.checkKdump(ctx, k, p)
		return
	}
	r.checkELF(ctx, src, p)
}

// checkELF reads all memory: an ELF core says no more of its pages than where
// they are.
func (r *verifyResult) checkELF(ctx context.Context, src vmcore.Source, p *progress) {
	mem, err := src.NewReader()
	if err != nil {
		r.problem(err)
		return
	}
	defer mem.Close()
	size := src.PageSize()
	var total, read uint64
	for _, ram := range src.RAM() {
		total += ram.End - ram.Start
	}
	buf, start := make([]byte, 1<<20), time.Now()
	for _, ram := range src.RAM() {
		for pa := ram.Start; pa < ram.End; {
			if ctx.Err() != nil {
				r.problem(errors.New("interrupted: not all pages were read"))
				return
			}
			b := buf[:min(ram.End-pa, uint64(len(buf)))]
			if mem.ReadPhys(b, pa) != nil {
				r.readPages(mem, b, pa, size)
			} else {
				r.Pages += (uint64(len(b)) + size - 1) / size
			}
			pa += uint64(len(b))
			read += uint64(len(b))
			p.event(capture.Event{Step: "verify", Progress: &capture.Progress{Done: read / size, Total: total / size, BytesIn: read, Elapsed: time.Since(start)}})
		}
	}
}

// readPages reads page by page what could not be read at once. A page that was
// left out on purpose is no problem.
func (r *verifyResult) readPages(mem vmcore.Reader, b []byte, pa, size uint64) {
	for len(b) > 0 {
		n := min(size-pa%size, uint64(len(b)))
		err := mem.ReadPhys(b[:n], pa)
		switch {
		case err == nil:
			r.Pages++
		case !errors.Is(err, vmcore.ErrNoPage), errors.Is(err, vmcore.ErrTruncated):
			r.Pages++
			r.BadPages++
			r.problem(err)
		}
		b, pa = b[n:], pa+n
	}
}
