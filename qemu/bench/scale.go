package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// scale measures on sparse cores of the sizes, in GiB, in dir, and writes what it took.
// The reference is not asked: it would take hours.
func (b *bench) scale(ctx context.Context, dir string, w io.Writer, sizes string) error {
	fmt.Fprintf(w, "%-10s %-20s %10s %10s %14s\n", "RAM", "command", "wall", "CPU", "private")
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.ParseUint(size, 10, 32)
		if err != nil || n < 16 {
			return fmt.Errorf("bench: %q is no size in GiB, of 16 or more", size)
		}
		core := filepath.Join(dir, fmt.Sprintf("sparse-%d.elf", n))
		err = writeSparse(core, n<<30, false)
		if err == nil {
			err = b.scaleOne(ctx, core, n, w)
		}
		os.Remove(core)
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scaleOne(ctx context.Context, core string, gib uint64, w io.Writer) error {
	out := filepath.Join(filepath.Dir(core), "out")
	defer os.Remove(out)
	for _, e := range []entrant{
		{"--dry-run, -d 31", "", []string{b.ours, "makedumpfile", "--dry-run", "-l", "-d", "31", core, out}},
		{"dump -d 31", out, []string{b.ours, "dump", "-f", "-d", "31", core, out}},
	} {
		s, err := run(ctx, e.out, e.argv...)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-10s %-20s %8.2f s %8.2f s %10.1f MiB\n", fmt.Sprintf("%d GiB", gib), e.name, s.Wall.Seconds(), s.CPU.Seconds(), mib(s.Private))
	}
	return nil
}
