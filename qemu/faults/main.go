package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/qemu/lab"
)

const usage = `usage: faults [--short] [--run REGEXP] [--work DIR] [--out FILE]

Breaks a machine while it captures a crash, and prints what was saved.

  --short       some of the faults only
  --run REGEXP  only the faults whose names match; what comes of them takes the
                place of what the last run of them gave
  --work DIR    where machines and their disks lie (default build/faults)
  --out FILE    where the table goes when all faults were played and each ended as
                expected (default docs/faults.md)

exit codes: 0 every fault ended as expected, 1 one did not, 2 wrong usage
`

func main() {
	fs := flag.NewFlagSet("faults", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	short := fs.Bool("short", false, "")
	run := fs.String("run", "", "")
	work := fs.String("work", "build/faults", "")
	out := fs.String("out", "docs/faults.md", "")
	err := fs.Parse(os.Args[1:])
	only, rerr := regexp.Compile(*run)
	if err != nil || rerr != nil || fs.NArg() > 0 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *short {
		*out = ""
	}
	if err := breakAll(ctx, *short, only, *work, *out); err != nil {
		fmt.Fprintf(os.Stderr, "faults: error: %v\n", err)
		os.Exit(1)
	}
}

// breakAll plays the faults and prints the table.
func breakAll(ctx context.Context, short bool, only *regexp.Regexp, work, out string) error {
	work, err := filepath.Abs(work)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	l, err := lab.New(ctx, work, os.Stderr)
	if err != nil {
		return err
	}
	p := &player{lab: l, work: work}
	kept := results{filepath.Join(filepath.Dir(work), "faults.json")}
	if out != "" && only.String() == "" { // all of them anew
		if err := kept.change(func(all map[string]result) { clear(all) }); err != nil {
			return err
		}
	}
	var rows []row
	var errs []error
	for _, f := range p.faults() {
		if short && !f.short || !only.MatchString(f.name) {
			continue
		}
		start := time.Now()
		r := p.play(ctx, f)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rows = append(rows, r)
		if out != "" {
			errs = append(errs, kept.keep(r, l.Kernel.Release))
		}
		state := "as expected"
		if r.err != nil {
			state = "NOT AS EXPECTED"
			errs = append(errs, fmt.Errorf("%s: %w", f.name, r.err))
		}
		note := ""
		if r.written > 0 {
			note = fmt.Sprintf(", %d KiB and %d flushes reached the disk", r.written>>10, r.flushes)
		}
		fmt.Fprintf(os.Stderr, "%-34s %s: %s (%.0f s%s)\n", f.name, state, r.saved, time.Since(start).Seconds(), note)
	}
	fmt.Print(table(l, rows))
	if err := errors.Join(errs...); err != nil || out == "" {
		return err
	}
	rows, whole, err := kept.whole(p.faults(), l.Kernel.Release)
	if err != nil || !whole {
		return err
	}
	return os.WriteFile(out, []byte(table(l, rows)), 0o644)
}
