package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"

	"github.com/gokdump/gokdump/arm"
	"github.com/gokdump/gokdump/arm/config"
)

func (p *program) load(ctx context.Context, args []string) int {
	var opt arm.Options
	var add, remove words
	var dry, blind bool
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&opt.Kernel, "kernel", "", "")
	f.StringVar(&opt.Image, "image", "", "")
	f.StringVar(&opt.Config, "config", "", "")
	f.Var(&add, "append", "")
	f.Var(&remove, "remove", "")
	f.IntVar(&opt.Wishes.CPUs, "cpus", 1, "")
	f.BoolVar(&opt.Force, "force", false, "")
	f.BoolVar(&dry, "dry-run", false, "")
	f.BoolVar(&blind, "no-check", false, "")
	if code, done := p.parse(f, args, exitUsage); done {
		return code
	}
	if opt.Wishes.CPUs < 1 || opt.Wishes.CPUs > arm.MaxCPUs {
		return p.wrongUsage(exitUsage, "--cpus %d is not within 1 and %d", opt.Wishes.CPUs, arm.MaxCPUs)
	}
	opt.Wishes.Append, opt.Wishes.Remove = add.String(), remove.String()
	if p.needRoot("load") {
		return exitFailed
	}
	if code, ok := p.config(&opt); !ok {
		return code
	}

	armed, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if dry {
		return p.dryRun(armed, opt)
	}
	done, err := p.host.Load(armed, opt)
	if err != nil {
		return p.fail(err)
	}
	for _, w := range done.Warnings {
		p.warn(w)
	}
	c := done.Check
	fmt.Fprintf(p.stdout, "armed: kernel %s (%s), image %s (%s), %s reserved\n",
		c.Kernel.Path, mib(c.Kernel.Size), c.Image.Path, mib(c.Image.Size), mib(c.Reserved))
	if !blind && c.Content != nil && c.Content.Plan != nil {
		p.try(ctx, c.Image, c.Content) // costs warnings only: a server may be up when it counts
	}
	return exitOK
}

// config settles which configuration is watched. One that does not parse costs a
// warning: the image was built from an older one, and an older image is better
// than none.
func (p *program) config(opt *arm.Options) (code int, ok bool) {
	given := opt.Config != ""
	if !given {
		opt.Config = p.host.System().Path(defaultConfig)
	}
	_, err := config.Load(opt.Config, !given)
	switch {
	case err == nil:
	case given && errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(p.stderr, "kdump-arm: error: %v\n", err)
		p.hint("give an existing file with --config, or leave it out")
		return exitFailed, false
	default:
		p.warn(fmt.Sprintf("%v (the image is armed as it was built before)", err))
	}
	return 0, true
}

func (p *program) dryRun(ctx context.Context, opt arm.Options) int {
	c, err := p.host.Check(ctx, opt)
	if c != nil {
		p.show(c)
	}
	if err != nil {
		return p.fail(err)
	}
	fmt.Fprintln(p.stdout, "dry run: nothing was loaded")
	return exitOK
}

// show prints what a load would use.
func (p *program) show(c *arm.Check) {
	release := c.Release
	if release == "" {
		release = "release unknown"
	}
	row := func(name, format string, a ...any) {
		fmt.Fprintf(p.stdout, "%-14s%s\n", name+":", fmt.Sprintf(format, a...))
	}
	row("kernel", "%s (%s, %s)", c.Kernel.Path, release, mib(c.Kernel.Size))
	row("image", "%s (%s)", c.Image.Path, mib(c.Image.Size))
	row("reservation", "%s, at least %s are needed", mib(c.Reserved), mib(c.Floor))
	row("command line", "%s", c.Cmdline.Text)
	for _, part := range []struct {
		name string
		list []arm.Change
	}{{"removed", c.Cmdline.Removed}, {"added", c.Cmdline.Added}} {
		fmt.Fprintf(p.stdout, "%s:\n", part.name)
		for _, x := range part.list {
			fmt.Fprintf(p.stdout, "  %-28s %s\n", x.Word, x.Why)
		}
	}
	for _, w := range c.Warnings {
		p.warn(w)
	}
}

func (p *program) unload(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("unload", flag.ContinueOnError)
	if code, done := p.parse(f, args, exitUsage); done {
		return code
	}
	if p.needRoot("unload") {
		return exitFailed
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	was, err := p.host.Unload(ctx)
	switch {
	case err != nil:
		return p.fail(err)
	case was:
		fmt.Fprintln(p.stdout, "unloaded: a panic now leaves no dump")
	default:
		fmt.Fprintln(p.stdout, "nothing was loaded")
	}
	return exitOK
}

func mib[T ~int64 | ~uint64](n T) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
