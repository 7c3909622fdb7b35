package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/qemu/lab"
)

const usage = `usage: crashbench [--runs N] [--floor=false] [--memory MIB] [--append TEXT]
                  [--only TEXT] [--state FILE] [--budget TIME] [--keep DIR] [--out FILE]

Compares crash images by the time from a panic to the machine's reset, and by the
smallest crashkernel= with which each saves a dump. Writes a table.

  --runs N      crashes of each, in turns, whose median counts (default 5)
  --append TEXT further words for the command line of the crash kernel
  --floor=BOOL  look for the smallest crashkernel= (default true)
  --memory MIB  memory of the machine (default 2048)
  --only TEXT   only crash images whose names have this; no table is written
  --state FILE  where what was measured is kept, and begun with if it is there
  --budget TIME start no machine after that time, such as 9m; with --state, the
                next call goes on
  --keep DIR    where the consoles go
  --out FILE    the table (default docs/bench-vm.md)

exit codes: 0 measured, 1 failed, 2 wrong usage, 3 not done within the budget
`

func main() {
	fs := flag.NewFlagSet("crashbench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	b := &bench{progress: os.Stderr}
	fs.IntVar(&b.runs, "runs", 5, "")
	fs.BoolVar(&b.floor, "floor", true, "")
	fs.IntVar(&b.memory, "memory", 2048, "")
	fs.StringVar(&b.only, "only", "", "")
	fs.StringVar(&b.words, "append", "", "")
	fs.StringVar(&b.keep, "keep", "", "")
	path := fs.String("state", "", "")
	budget := fs.Duration("budget", 0, "")
	out := fs.String("out", "docs/bench-vm.md", "")
	if err := fs.Parse(os.Args[1:]); err != nil || fs.NArg() > 0 || b.runs < 0 || b.memory < 512 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if *budget > 0 {
		b.until = time.Now().Add(*budget)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	switch err := b.measure(ctx, *path, *out); {
	case errors.Is(err, errBudget):
		fmt.Fprintf(os.Stderr, "crashbench: %v\n", err)
		os.Exit(3)
	case err != nil:
		fmt.Fprintf(os.Stderr, "crashbench: error: %v\n", err)
		os.Exit(1)
	}
}

// errBudget says that there is more to measure than there was time for.
var errBudget = errors.New("the budget is used up")

// bench is one comparison.
type bench struct {
	runs, memory int
	floor        bool
	only, keep   string
	words        string    // for the crash kernel
	until        time.Time // zero: no budget
	progress     io.Writer
	lab          *lab.Lab
	dir          string
	state        *state
}

// subjects are what is compared: crash images in a small guest, and ways to set up a
// whole Debian.
func (b *bench) subjects(base string) (small, whole []subject) {
	small = []subject{
		{name: oursZstd, config: lab.DefaultConfig},
		{name: oursLZO, config: lab.DefaultConfig + "codec lzo\n"},
		{name: peerLZO, replace: busyboxImage(base, "-l")},
		{name: peerZlib, replace: busyboxImage(base, "-c")},
	}
	whole = []subject{
		{name: "Debian with gokdump (zstd)", system: b.lab.System},
		{name: "Debian's kdump-tools", system: b.kdumpTools(base)},
	}
	keep := func(list []subject) []subject {
		return slices.DeleteFunc(list, func(s subject) bool { return !strings.Contains(s.name, b.only) })
	}
	return keep(small), keep(whole)
}

func (b *bench) measure(ctx context.Context, path, out string) (err error) {
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return fmt.Errorf("git describe: %w", err)
	}
	if b.state, err = loadState(path, strings.TrimSpace(string(commit)), b.memory); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "gc-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.lab, err = lab.New(ctx, b.dir, b.progress); err != nil {
		return err
	}
	base, err := peers(ctx, b.progress)
	if err != nil {
		return err
	}
	small, whole := b.subjects(base)
	for i := range b.runs {
		for _, list := range [][]subject{small, whole} {
			for j := range list {
				if len(b.state.Runs[list[j].name]) > i {
					continue
				}
				if err := b.run(ctx, &list[j], i); err != nil {
					return err
				}
			}
		}
	}
	if b.floor {
		for i := range small {
			if small[i].floor() {
				if err := b.findFloor(ctx, &small[i]); err != nil {
					return err
				}
			}
		}
	}
	if b.only != "" {
		return nil
	}
	text := b.table(small, whole)
	fmt.Print(text)
	return os.WriteFile(out, []byte(text), 0o644)
}

// mayStart tells whether there is time for another machine.
func (b *bench) mayStart() error {
	if !b.until.IsZero() && time.Now().After(b.until) {
		return errBudget
	}
	return nil
}
