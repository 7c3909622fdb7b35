// Command run is what make test-matrix runs: it gets the kernels and the newest
// readers, crashes the machines whose cores are not in the cache, compares, prints one
// table, and writes it where the documentation has it.
//
// It owns what is shown and the exit code; package matrix compares.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/matrix"
	"github.com/gokdump/gokdump/qemu/readers"
	"github.com/gokdump/gokdump/qemu/steps"
)

const usage = `usage: run [-short] [-kernel TEXT] [-case NAME] [-docs]

Compares dumps of Debian's kernels with makedumpfile, libkdumpfile, drgn and
crash, prints a table, and writes docs/matrix.md and the README's part of it.

  -short        one kernel, one case, three levels; downloads no kernel; writes
                no documentation
  -kernel TEXT  only kernels whose suite, version or flavour holds TEXT;
                writes no documentation, but takes the place of their part
                in the last whole run
  -case NAME    only this case; the same
  -docs         write the documentation of the last whole run anew and do
                nothing else

exit codes: 0 all dumps are right, 1 they are not, 2 wrong usage
`

// work is where dumps are while they are compared, below the tree's root.
const work = "build/matrix"

// result is where a whole run leaves what it found.
const result = work + "/result.json"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	fs.BoolVar(&o.short, "short", false, "")
	fs.StringVar(&o.kernel, "kernel", "", "")
	fs.StringVar(&o.one, "case", "", "")
	fs.BoolVar(&o.docs, "docs", false, "")
	if fs.Parse(os.Args[1:]) != nil || fs.NArg() > 0 {
		os.Exit(2)
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "matrix: error: %v\n", err)
		os.Exit(1)
	}
}

type options struct {
	short, docs bool
	kernel, one string
}

func run(ctx context.Context, o options) error {
	if _, err := os.Stat("go.mod"); err != nil {
		return errors.New("the working directory is not the source tree; run make test-matrix there")
	}
	if o.docs {
		return rewrite()
	}
	cache, err := debian.CacheDir()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(work)
	if err != nil {
		return err
	}
	m := &matrix.Matrix{Maker: matrix.Maker{Cache: cache, Work: dir}}
	log := steps.New(os.Stdout)
	get, what := readers.Newest, "compiling; the newest readers (about 300 MB once)"
	if o.short {
		get, what = readers.Released, "compiling"
	}
	if err := log.Do(what, func(step *steps.Step) error {
		if err := m.Compile(ctx); err != nil {
			return err
		}
		m.Readers, err = get(ctx, cache, step)
		return err
	}); err != nil {
		return err
	}
	r, err := m.Versions(ctx)
	if err != nil {
		return err
	}
	jobs, err := o.jobs(ctx, cache, log, r)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := log.Do(j.kernel.Release+", "+j.c.Name, func(step *steps.Step) error {
			m.Progress = step
			core, err := m.Core(ctx, j.kernel, j.c, step)
			if err != nil {
				return err
			}
			rows, err := m.Check(ctx, core, j.turn, o.short)
			if err == nil && j.c.Capture && !o.short {
				var planted []matrix.Row
				planted, err = m.Planted(ctx, core)
				rows = append(rows, planted...)
			}
			r.Rows = append(r.Rows, rows...)
			r.Note(core)
			for _, row := range rows {
				for _, e := range row.Errors {
					step.Say("%s", e)
				}
			}
			return err
		}); err != nil {
			return err
		}
	}
	fmt.Printf("\n%s\n%s\n", r.Table(), r.Summary())
	part := o.kernel != "" || o.one != ""
	if !o.short {
		if err := save(r, part); err != nil {
			return err
		}
	}
	if err := failed(r); err != nil || o.short || part {
		return err
	}
	return write(r)
}

func failed(r *matrix.Result) error {
	if errs := r.Errors(); len(errs) > 0 {
		return fmt.Errorf("%d comparisons failed:\n%s", len(errs), strings.Join(errs, "\n"))
	}
	return nil
}

// save keeps what a whole run found, or what a part of one found in its place. A part
// alone is not kept.
func save(r *matrix.Result, part bool) error {
	if part {
		whole, err := load()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		whole.Merge(r)
		r = whole
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(result, b, 0o644)
}

func load() (*matrix.Result, error) {
	b, err := os.ReadFile(result)
	if err != nil {
		return nil, fmt.Errorf("no whole run of the matrix here: %w", err)
	}
	var r matrix.Result
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", result, err)
	}
	return &r, nil
}

// rewrite writes the documentation from what the last whole run found.
func rewrite() error {
	r, err := load()
	if err == nil {
		err = failed(r)
	}
	if err != nil {
		return err
	}
	return write(r)
}

// job is one machine.
type job struct {
	kernel *debian.Kernel
	c      matrix.Case
	turn   int // among those of a whole run
}

// jobs gets the kernels and lists the machines.
func (o options) jobs(ctx context.Context, cache string, log *steps.Log, r *matrix.Result) ([]job, error) {
	if o.short {
		var jobs []job
		err := log.Do("kernel", func(step *steps.Step) error {
			k, err := debian.CloudKernel(ctx, cache, step)
			if err == nil {
				r.Kernels, jobs = []string{k.Release}, []job{{kernel: k, c: matrix.ShortCase()}}
			}
			return err
		})
		return jobs, err
	}
	var jobs []job
	err := log.Do("kernels and their debug symbols (about 2.5 GB once)", func(step *steps.Step) error {
		turn := 0
		for _, spec := range matrix.Kernels {
			first := turn
			turn += len(spec.Of())
			if !strings.Contains(spec.Suite+" "+spec.Prefix+" "+spec.Flavour, o.kernel) {
				continue
			}
			suite, err := debian.OpenSuite(ctx, cache, spec.Suite, step, spec.Additions...)
			if err != nil {
				return err
			}
			k, err := suite.Kernel(ctx, spec.Prefix, spec.Flavour, step)
			if err != nil {
				return err
			}
			why := cmp.Or(k.Chosen, "from the cache")
			step.Say("%s, of Debian %s: %s", k.Release, spec.Suite, why)
			r.Kernels = append(r.Kernels, k.Release)
			r.Chosen[k.Release] = "Debian " + spec.Suite + ": " + why
			for i, c := range spec.Of() {
				if o.one == "" || o.one == c.Name {
					jobs = append(jobs, job{k, c, first + i})
				}
			}
		}
		if len(jobs) == 0 {
			return fmt.Errorf("no machine for -kernel %q -case %q", o.kernel, o.one)
		}
		return nil
	})
	return jobs, err
}

// write puts the tables into the documentation.
func write(r *matrix.Result) error {
	if err := os.WriteFile("docs/matrix.md", r.Document(), 0o644); err != nil {
		return err
	}
	doc, err := os.ReadFile("README.md")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile("README.md", matrix.Splice(doc, r.Readme()), 0o644)
}
