package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/vmcore"
)

const splitUsage = `usage: kdump-vmcore split [-d LEVEL] [-c CODEC] [-f] [--workers N] [--verify-all]
                          [--salvage] [--vmcoreinfo FILE] [--json] N IN OUT...

Writes the core IN as a set of N files, each with about as many pages: OUT.1 to
OUT.N, or the N files given. crash opens a set, all files of it named together:
crash VMLINUX OUT.1 OUT.2. For drgn make one file of it: kdump-vmcore reassemble.

  -d LEVEL     also leave out what this level names, see kdump-vmcore dump
               (default 0)
  -c CODEC     zstd, zlib, lzo, snappy or none (default zstd)
  -f           overwrite the files
  --workers N  goroutines that read and compress (default: one for each CPU)
  --verify-all decode every page after writing
  --salvage    take a core that is cut short; lost pages are left out
  --vmcoreinfo FILE
               use this VMCOREINFO, not the core's: its text, or its ELF note
  --json       print the result as JSON

A file of a set cannot be cut short: a full disk ends it all.

exit codes: 0 complete, 1 failed, 2 wrong usage, 3 incomplete but usable
`

// maxParts bounds the files of a set: each stays open while it is read.
const maxParts = 256

func runSplit(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("split", flag.ContinueOnError)
	save := addSaveFlags(fs, new(0), "zstd")
	from := sourceFlags(fs)
	asJSON := fs.Bool("json", false, "")
	files, code, done := c.parse(fs, splitUsage, args, 3, maxParts+2)
	if done {
		return code
	}
	n, err := strconv.Atoi(files[0])
	outs := files[2:]
	switch {
	case err != nil || n < 2 || n > maxParts:
		err = fmt.Errorf("%q files: a number from 2 to %d is needed", files[0], maxParts)
	case len(outs) != 1 && len(outs) != n:
		err = fmt.Errorf("%d names given for %d files: give one, or one for each", len(outs), n)
	}
	opt, oerr := save.options("zstd")
	if err = errors.Join(err, oerr); err != nil {
		return c.usageError("split", err)
	}
	if len(outs) == 1 {
		base := outs[0]
		outs = nil
		for i := range n {
			outs = append(outs, fmt.Sprintf("%s.%d", base, i+1))
		}
	}
	r := dumpResult{In: files[1], Level: opt.Level, Codec: opt.Codec.String()}
	start := time.Now()
	in, mended, err := openSource(ctx, files[1], *from)
	if err != nil {
		return c.report(r, "", &capture.SaveResult{}, err, time.Since(start), *asJSON)
	}
	defer in.Close()
	c.note(mended)
	r.Mended = mended
	p := newProgress(c.stderr)
	opt.Event = p.event
	res, err := makeSet(ctx, in, files[1], outs, *save.force, opt, 0)
	p.done()
	name := fmt.Sprintf("%s to %s", outs[0], outs[n-1])
	return c.report(r, name, res, err, time.Since(start), *asJSON)
}

// makeSet makes the files outs, a set, from src, the core in, each of limit bytes
// at most, if that is not 0. The result is never nil. When it fails, no file has its name, and none that is not finished stays.
func makeSet(ctx context.Context, src vmcore.Source, in string, outs []string, force bool, opt capture.SaveOptions, limit int64) (_ *capture.SaveResult, err error) {
	none := &capture.SaveResult{}
	var all []target.File
	var files []capture.SaveOutput
	defer func() {
		if err == nil {
			return
		}
		for i, f := range all {
			name := f.Name()
			f.Abandon()
			if name != filepath.Base(outs[i]) { // else it was committed: whole, and of use with the others
				os.Remove(filepath.Join(filepath.Dir(outs[i]), name))
			}
		}
	}()
	for _, out := range outs {
		if err := checkOut(in, out); err != nil {
			return none, err
		}
		dir, err := target.NewDir(filepath.Dir(out))
		if err != nil {
			return none, err
		}
		defer dir.Close()
		dir.Overwrite = force
		f, err := dir.Create(filepath.Base(out))
		if err != nil {
			return none, err
		}
		all, files = append(all, f), append(files, limitOutput(f, limit))
	}
	res, err := capture.SaveSplit(ctx, src, files, opt)
	if err != nil {
		return res, err
	}
	for _, f := range all {
		if err := f.Commit(); err != nil {
			return res, err
		}
	}
	return res, nil
}
