// Command fetch gets what the machines of the tests run and what opens their
// dumps into the cache: a kernel with its debug symbols, and readers that are new
// enough. A second run finds everything there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
	"github.com/gokdump/gokdump/qemu/steps"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "fetch: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cache, err := debian.CacheDir()
	if err != nil {
		return err
	}
	log := steps.New(os.Stdout)
	if err := log.Do("kernel and debug symbols (about 310 MB once)", func(step *steps.Step) error {
		k, err := debian.CloudKernel(ctx, cache, step)
		if err == nil {
			step.Say("%s in %s", k.Release, k.Root)
		}
		return err
	}); err != nil {
		return err
	}
	if err := log.Do("a small Debian with systemd (about 120 MB once)", func(step *steps.Step) error {
		_, err := debian.Root(ctx, cache, lab.SystemSuite, lab.SystemPackages(), step)
		return err
	}); err != nil {
		return err
	}
	return log.Do("readers: drgn, and crash 8.0.4 or later (about 200 MB once)", func(step *steps.Step) error {
		_, err := readers.Get(ctx, cache, step)
		return err
	})
}
