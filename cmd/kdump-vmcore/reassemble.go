package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/source"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

const reassembleUsage = `usage: kdump-vmcore reassemble [-c CODEC] [-f] [--workers N] [--verify-all] [--json]
                               IN... OUT

Makes one file, OUT, of the files IN of a split dump, given in any order. OUT has
the same pages.

  -c CODEC     zstd, zlib, lzo, snappy or none (default: that of the files)
  -f           overwrite OUT and OUT.incomplete
  --workers N  goroutines that read and compress (default: one for each CPU)
  --verify-all decode every page after writing
  --json       print the result as JSON

exit codes: 0 complete, 1 failed, 2 wrong usage, 3 incomplete but usable
`

func runReassemble(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("reassemble", flag.ContinueOnError)
	save := addSaveFlags(fs, nil, "")
	asJSON := fs.Bool("json", false, "")
	files, code, done := c.parse(fs, reassembleUsage, args, 2, maxParts+1)
	if done {
		return code
	}
	opt, err := save.options("zstd")
	if err != nil {
		return c.usageError("reassemble", err)
	}
	ins, out := files[:len(files)-1], files[len(files)-1]
	r := dumpResult{In: ins[0]}
	start := time.Now()
	src, err := openSet(ctx, ins)
	if err != nil {
		return c.report(r, "", &capture.SaveResult{}, err, time.Since(start), *asJSON)
	}
	defer src.Close()
	if *save.codec == "" {
		opt.Codec = codecOf(src)
	}
	r.Codec = opt.Codec.String()
	if h, ok := src.(interface{ Header() *vmcore.KdumpHeader }); ok {
		r.Level = int(h.Header().DumpLevel)
	}
	for _, in := range ins {
		if err := checkOut(in, out); err != nil {
			return c.report(r, "", &capture.SaveResult{}, err, time.Since(start), *asJSON)
		}
	}
	name, res, err := makeDump(ctx, c, src, ins[0], out, *save.force, opt, capture.Save)
	return c.report(r, name, res, err, time.Since(start), *asJSON)
}

// openSet opens the files of a split dump as one core.
func openSet(ctx context.Context, paths []string) (vmcore.Source, error) {
	var files []vmcore.Kdump
	closeAll := func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, path := range paths {
		src, _, err := openSource(ctx, path, source.Options{})
		if err != nil {
			closeAll()
			return nil, err
		}
		k, ok := src.(vmcore.Kdump)
		if !ok {
			src.Close()
			closeAll()
			return nil, fmt.Errorf("%s: %w: it is an ELF core", path, vmcore.ErrSet)
		}
		files = append(files, k)
	}
	set, err := vmcore.NewSet(slices.Clone(files))
	if err != nil {
		closeAll()
		return nil, err
	}
	return set, nil
}

// codecOf is the codec that most pages of a kdump-compressed core have, by its
// header.
func codecOf(src vmcore.Source) codec.ID {
	k, ok := src.(interface{ Header() *vmcore.KdumpHeader })
	if !ok {
		return codec.Zstd
	}
	for _, id := range []codec.ID{codec.Zstd, codec.LZO, codec.Zlib, codec.Snappy} {
		if k.Header().Status&id.Flag()&^kdumpfmt.FlagIncomplete != 0 {
			return id
		}
	}
	return codec.None
}
