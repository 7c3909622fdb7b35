package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/vmcore"
)

const convertUsage = `usage: kdump-vmcore convert [-t FORMAT] [-c CODEC] [-d LEVEL] [-f] [--workers N]
                            [--verify-all] [--salvage] [--vmcoreinfo FILE]
                            [--json] IN OUT
       kdump-vmcore convert -F [-t FORMAT] ... IN
       kdump-vmcore convert -R [-f] OUT

Writes the core IN, whatever its format, in the format that a tool needs. Unless
a level is given, nothing is left out. OUT is OUT.incomplete until it is whole.

  -t FORMAT    kdump: kdump-compressed, for crash and drgn (default)
               elf: an ELF core, for gdb too. What was left out reads as zeros
               flat: kdump-compressed, flattened, as makedumpfile -F writes it
  -F           write the flattened form of FORMAT to standard output
  -R           read a flattened dump from standard input, and write the file
               that it stands for
  -c CODEC     zstd, zlib, lzo, snappy or none (default zstd); not for ELF
  -d LEVEL     also leave out what this level names, see kdump-vmcore dump
               (default 0)
  -f           overwrite OUT and OUT.incomplete
  --workers N  goroutines that read and compress (default: one for each CPU)
  --verify-all read every page back; in an ELF core, compare it
  --salvage    take a core that is cut short; lost pages are left out
  --vmcoreinfo FILE
               use this VMCOREINFO, not the core's: its text, or its ELF note
  --json       print the result as JSON, with -F to standard error

exit codes: 0 complete, 1 failed, 2 wrong usage, 3 incomplete but usable
`

// The values of -t.
const (
	formatKdump = "kdump"
	formatELF   = "elf"
	formatFlat  = "flat"
)

func runConvert(ctx context.Context, c *cli, args []string) int {
	fs := flag.NewFlagSet("convert", flag.ContinueOnError)
	format := fs.String("t", formatKdump, "")
	stream := fs.Bool("F", false, "")
	restore := fs.Bool("R", false, "")
	save := addSaveFlags(fs, new(0), "")
	from := sourceFlags(fs)
	asJSON := fs.Bool("json", false, "")
	files, code, done := c.parse(fs, convertUsage, args, 1, 2)
	if done {
		return code
	}
	want := 2
	if *stream || *restore {
		want = 1
	}
	opt, err := save.options("zstd")
	switch {
	case err != nil:
	case *stream && *restore:
		err = errors.New("-F and -R exclude each other")
	case len(files) != want:
		err = fmt.Errorf("%d files needed, %d given", want, len(files))
	case *format != formatKdump && *format != formatELF && *format != formatFlat:
		err = fmt.Errorf("format %q is not kdump, elf or flat", *format)
	case *format == formatELF && opt.Codec != codec.None && *save.codec != "":
		err = errors.New("an ELF core is not compressed: leave out -c")
	}
	if err != nil {
		return c.usageError("convert", err)
	}
	if *restore {
		return c.unflatten(os.Stdin, files[0], *save.force)
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
	if *format == formatELF {
		r.Codec = formatELF
	}
	if *stream {
		res, err := c.stream(ctx, in, *format == formatELF, opt)
		out := &cli{stdout: c.stderr, stderr: c.stderr} // stdout has the dump
		return out.report(r, "stdout", res, err, time.Since(start), *asJSON)
	}
	write := map[string]saver{formatKdump: capture.Save, formatELF: capture.SaveELF, formatFlat: saveFlatFile}[*format]
	name, res, err := makeDump(ctx, c, in, files[0], files[1], *save.force, opt, write)
	return c.report(r, name, res, err, time.Since(start), *asJSON)
}

// stream writes a flattened dump to stdout.
func (c *cli) stream(ctx context.Context, src vmcore.Source, elf bool, opt capture.SaveOptions) (*capture.SaveResult, error) {
	if f, ok := c.stdout.(*os.File); ok && isTerminal(f) {
		return &capture.SaveResult{}, hinted{errors.New("a dump is not for a terminal"), "give standard output to a file or a pipe"}
	}
	p := newProgress(c.stderr)
	defer p.done()
	opt.Event = p.event
	return capture.SaveFlat(ctx, src, c.stdout, elf, opt)
}

// saveFlatFile is a saver of flattened files.
func saveFlatFile(ctx context.Context, src vmcore.Source, out capture.SaveOutput, opt capture.SaveOptions) (*capture.SaveResult, error) {
	w := io.NewOffsetWriter(out, 0)
	res, err := capture.SaveFlat(ctx, src, w, false, opt)
	if err == nil {
		err = out.Sync()
	}
	return res, err
}

// unflatten makes out of the flattened dump that in gives.
func (c *cli) unflatten(in io.Reader, out string, force bool) int {
	name, u, err := unflattenFile(in, out, force)
	if err != nil {
		code := c.fail(err)
		if name != "" {
			fmt.Fprintf(c.stderr, "kdump-vmcore: %d records are in %s: kdump-vmcore dump --salvage makes a dump of what can be read of them\n", u.Records, name)
		}
		return code
	}
	fmt.Fprintf(c.stdout, "%s: %s from %d records\n", out, capture.Bytes(uint64(u.Size)), u.Records)
	return exitOK
}

// unflattenFile gives the name of the file that is left, if any: out, or its
// unfinished name when the stream was cut short.
func unflattenFile(in io.Reader, out string, force bool) (string, *dump.Unflattened, error) {
	none := &dump.Unflattened{}
	if err := checkOut(os.DevNull, out); err != nil {
		return "", none, err
	}
	f, done, err := createOut(out, force)
	if err != nil {
		return "", none, err
	}
	defer done()
	u, err := dump.Unflatten(in, f)
	left := unfinished(out, f)
	switch {
	case err != nil && u.Records == 0:
		return "", u, errors.Join(err, f.Abandon(), os.Remove(left))
	case err != nil:
		return left, u, errors.Join(err, f.Abandon())
	}
	if err := f.Commit(); err != nil {
		return left, u, err
	}
	return out, u, nil
}
