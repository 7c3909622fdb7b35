// Command run is what make test-spoiled runs: it spoils what real kernels say of
// themselves, and pieces of their memory, in every way there is, and fails when a
// dump lacks a page of a good one, or grows without a word.
//
// It owns what is shown and the exit code; package spoiled spoils and judges.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/spoiled"
	"github.com/gokdump/gokdump/qemu/steps"
)

const usage = `usage: run [-short] [-levels N,N,...] [-release R] [CORE ...]

Spoils each key of each core's VMCOREINFO, its struct pages, mem_section and page
tables, filters it at each level, and compares with a good dump. Without CORE, all
cores that make test-matrix left in the cache.

  -short         only some values of each key
  -levels N,...  dump levels; 1,2,4,8,16,31 without it
  -release R     take the kernels for this release, such as 99.0: one that is newer
                 than all that are known

exit codes: 0 no page is lost and all that grows is told, 1 not so, 2 wrong usage
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opt := spoiled.Options{Levels: spoiled.Levels, Thorough: true, Workers: runtime.GOMAXPROCS(0)}
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	short := fs.Bool("short", false, "")
	fs.StringVar(&opt.Release, "release", "", "")
	fs.Func("levels", "", func(s string) error {
		opt.Levels = nil
		for _, f := range strings.Split(s, ",") {
			n, err := strconv.Atoi(f)
			if err != nil {
				return err
			}
			opt.Levels = append(opt.Levels, n)
		}
		return nil
	})
	if fs.Parse(os.Args[1:]) != nil {
		os.Exit(2)
	}
	opt.Thorough = !*short
	if err := run(ctx, fs.Args(), opt); err != nil {
		fmt.Fprintf(os.Stderr, "spoiled: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, paths []string, opt spoiled.Options) error {
	if len(paths) == 0 {
		cache, err := debian.CacheDir()
		if err != nil {
			return err
		}
		if paths, err = spoiled.Cached(cache, "*"); err != nil {
			return err
		}
		if len(paths) == 0 {
			return fmt.Errorf("no core in %s: make test-matrix makes them", cache)
		}
	}
	log := steps.New(os.Stdout)
	defects := 0
	for _, p := range paths {
		if err := log.Do(filepath.Base(filepath.Dir(p)), func(step *steps.Step) error {
			n, err := one(ctx, p, opt, step)
			defects += n
			return err
		}); err != nil {
			return err
		}
	}
	if defects > 0 {
		return fmt.Errorf("%d spoilings did harm", defects)
	}
	return nil
}

func one(ctx context.Context, path string, opt spoiled.Options, step *steps.Step) (defects int, err error) {
	src, err := vmcore.OpenPath(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	start := time.Now()
	rep, err := spoiled.Check(ctx, src, opt)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	for _, w := range rep.Warnings {
		step.Say("the good dump warns: %s", w)
	}
	for _, d := range rep.Defects {
		step.Say("%v", d)
	}
	step.Say("%d texts and %d pieces of memory spoiled, %d dumps compared in %.0f s: %d did harm",
		rep.Texts, rep.Pieces, rep.Scans, time.Since(start).Seconds(), len(rep.Defects))
	return len(rep.Defects), nil
}
