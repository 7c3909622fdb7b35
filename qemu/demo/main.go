// Command demo shows the whole story once, for a person: a Debian kernel is armed
// in a virtual machine, crashes, is captured and comes back; then the dump is
// opened. It is what make demo runs.
//
// It owns what is shown; package lab plays the story.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
	"github.com/gokdump/gokdump/qemu/steps"
)

// work is where the demonstration leaves its dump, below the tree's root.
const work = "build/demo"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "demo: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out *os.File) error {
	if _, err := os.Stat("go.mod"); err != nil {
		return errors.New("the working directory is not the source tree; run make demo there")
	}
	dir, err := filepath.Abs(work)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}

	log := steps.New(out)
	s := show{out: out}
	if err := log.Do("getting the kernel, compiling the commands", func(step *steps.Step) (err error) {
		s.lab, err = lab.New(ctx, dir, step)
		return err
	}); err != nil {
		return err
	}
	fmt.Fprintf(out, "    kernel %s, run by QEMU under %s\n", s.lab.Kernel.Release, s.lab.Accel)
	if err := log.Do("arm, crash, capture, reboot", func(step *steps.Step) (err error) {
		s.outcome, err = s.lab.Run(ctx, dir, lab.Story{Config: config, Return: true}, newTeller(step.Say, step))
		return err
	}); err != nil {
		return err
	}
	if err := log.Do("reading the disk and opening the dump in drgn", func(*steps.Step) (err error) {
		all, err := s.outcome.Left(ctx)
		if err != nil {
			return err
		}
		if len(all) != 1 || all[0].Report == nil {
			return fmt.Errorf("%d dumps on the disk, want one with a report; the console is in %s", len(all), s.outcome.Log)
		}
		s.left = all[0]
		s.found, err = readers.Drgn(ctx, s.lab.Kernel.Debug, s.left.Path(s.dumpName()))
		return err
	}); err != nil {
		return err
	}
	s.total = log.Elapsed().Round(100 * time.Millisecond)
	return s.all()
}

// config is the kdump.conf of the demonstration.
const config = "ext4 UUID=" + lab.DiskUUID + "\npath " + lab.CrashDir + "\nhost demo\n"
