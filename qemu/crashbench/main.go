package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gokdump/gokdump/qemu/lab"
)

const usage = `usage: crashbench [--runs N] [--floor=false] [--memory MIB] [--out FILE]

Compares crash images by the time from a panic to the machine's reset, and by the
smallest crashkernel= with which each saves a dump. Writes a table.

  --runs N      crashes of each, in turns, whose median counts (default 5)
  --floor=BOOL  look for the smallest crashkernel= (default true)
  --memory MIB  memory of the machine (default 2048)
  --out FILE    the table (default docs/bench-vm.md)

exit codes: 0 measured, 1 failed, 2 wrong usage
`

func main() {
	fs := flag.NewFlagSet("crashbench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	b := &bench{progress: os.Stderr}
	fs.IntVar(&b.runs, "runs", 5, "")
	fs.BoolVar(&b.floor, "floor", true, "")
	fs.IntVar(&b.memory, "memory", 2048, "")
	out := fs.String("out", "docs/bench-vm.md", "")
	if err := fs.Parse(os.Args[1:]); err != nil || fs.NArg() > 0 || b.runs < 1 || b.memory < 512 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := b.measure(ctx, *out); err != nil {
		fmt.Fprintf(os.Stderr, "crashbench: error: %v\n", err)
		os.Exit(1)
	}
}

// bench is one comparison.
type bench struct {
	runs, memory int
	floor        bool
	progress     io.Writer
	lab          *lab.Lab
	dir          string
}

func (b *bench) measure(ctx context.Context, out string) (err error) {
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
	small := []subject{
		{name: "gokdump (zstd)", config: lab.DefaultConfig},
		{name: "gokdump (lzo)", config: lab.DefaultConfig + "codec lzo\n"},
		{name: "busybox + makedumpfile -l", replace: busyboxImage(base, "-l")},
		{name: "busybox + makedumpfile -c", replace: busyboxImage(base, "-c")},
	}
	whole := []subject{
		{name: "gokdump (zstd)", system: b.lab.System},
		{name: "Debian's kdump-tools", system: b.kdumpTools(base)},
	}
	for i := range b.runs {
		for _, list := range [][]subject{small, whole} {
			for j := range list {
				if err := b.run(ctx, &list[j], i); err != nil {
					return err
				}
			}
		}
	}
	if b.floor {
		for _, j := range []int{0, 2} {
			if err := b.findFloor(ctx, &small[j]); err != nil {
				return err
			}
		}
	}
	text := b.table(small, whole)
	fmt.Print(text)
	return os.WriteFile(out, []byte(text), 0o644)
}
