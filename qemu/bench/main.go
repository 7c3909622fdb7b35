package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
)

const usage = `usage: bench [--core FILE] [--runs N] [--work DIR] [--out FILE] [--scale]

Compares kdump-vmcore with makedumpfile and writes a table of ratios.

  --core FILE  measure on this core, not on the one that is made and cached
  --runs N     runs of each command, whose median counts (default 5)
  --work DIR   where dumps are written (default: a new directory in /dev/shm)
  --out FILE   the table (default docs/bench.md)
  --scale      only the synthetic cores of 8 GiB, 1 TiB and 12 TiB; prints, and
               writes no table

exit codes: 0 measured, 1 failed, 2 wrong usage
`

func main() {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	core := fs.String("core", "", "")
	runs := fs.Int("runs", 5, "")
	work := fs.String("work", "", "")
	out := fs.String("out", "docs/bench.md", "")
	scale := fs.Bool("scale", false, "")
	maps := fs.String(readMapsFlag[2:], "", "")
	profiled := fs.Bool(profileFlag[2:], false, "")
	if err := fs.Parse(os.Args[1:]); err != nil || fs.NArg() > 0 && !*profiled || *runs < 1 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if *maps != "" {
		if err := readMaps(*maps); err != nil {
			fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if a := fs.Args(); *profiled && len(a) == 4 {
		if err := profile(ctx, a[0], a[1], a[2], a[3]); err != nil {
			fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
			os.Exit(1)
		}
		return
	}
	if err := measure(ctx, *core, *runs, *work, *out, *scale); err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, core string, runs int, work, out string, scale bool) error {
	cache, err := debian.CacheDir()
	if err != nil {
		return err
	}
	if work == "" {
		if work, err = os.MkdirTemp("/dev/shm", "gokdump-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(work)
	}
	bin, err := os.MkdirTemp("", "gb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	refs, root, err := references(ctx, cache, os.Stderr)
	if err != nil {
		return err
	}
	l, err := lab.New(ctx, bin, os.Stderr)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b := &bench{ours: l.Command("kdump-vmcore"), self: self, refs: refs, work: work, runs: runs, progress: os.Stderr}
	if b.core = core; core == "" {
		if b.core, err = realCore(ctx, l, cache, root, os.Stderr); err != nil {
			return err
		}
	}
	if scale {
		if err = b.eight(ctx, bin); err == nil {
			err = b.scale(ctx, bin)
		}
		fmt.Print(table(b.figures, nil))
		return err
	}
	if err := b.all(ctx, l, bin); err != nil {
		return err
	}
	alone, err := encoders(b.core, os.Stderr)
	if err != nil {
		return err
	}
	if err := b.explain(ctx); err != nil {
		return err
	}
	text := table(b.figures, machine(b.core, b.ours, refs, runs, work)) + encoderTable(alone)
	fmt.Print(text)
	return os.WriteFile(out, []byte(text), 0o644)
}

// all measures everything that is in the table.
func (b *bench) all(ctx context.Context, l *lab.Lab, dir string) error {
	for _, c := range codecs {
		if err := b.dumps(ctx, c.name, c.flag, 31, c.all31, c.one31); err != nil {
			return err
		}
		if err := b.dumps(ctx, c.name, c.flag, 1, c.two1, c.one1); err != nil {
			return err
		}
	}
	if err := b.scan(ctx); err != nil {
		return err
	}
	if err := b.threads(ctx); err != nil {
		return err
	}
	if err := b.floor(ctx); err != nil {
		return err
	}
	if err := b.eight(ctx, dir); err != nil {
		return err
	}
	if err := b.scale(ctx, dir); err != nil {
		return err
	}
	return b.image(ctx, l, dir)
}
