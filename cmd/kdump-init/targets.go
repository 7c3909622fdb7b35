package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// A request is one target to be got ready.
type request struct {
	plan.Target
	deadlines plan.Deadlines
	// network is the plan's; nil when it has none.
	network *plan.Network
	// more: another target follows, so this one is given up rather than waited for.
	more bool
	// patient is told how long an operation of the target may take before it fails.
	patient func(time.Duration)
	// dir is where it may be mounted.
	dir string
	log *boot.Log
	// step says what begins, and how long it may take at most: the name is the
	// verdict's if it fails.
	step func(name string, limit time.Duration)
}

// An opener gets one kind of target ready. It ends when the deadlines of its
// steps have passed, at the latest.
type opener func(request) (target.Target, error)

// openers are those of this flavour of kdump-init. The remote ones share n.
func openers(n *network) map[plan.Kind]opener {
	m := map[plan.Kind]opener{plan.KindFS: openFS}
	for _, more := range []map[plan.Kind]opener{rawOpeners(), n.openers()} {
		for kind, o := range more {
			m[kind] = o
		}
	}
	return m
}

// openFS finds a block device and mounts its file system.
func openFS(r request) (target.Target, error) {
	if mounted(r.dir) { // by an attempt before, or by a person on the rescue console
		r.log.Infof("the target is mounted already")
	} else {
		device, err := findDevice(r)
		if err != nil {
			return nil, err
		}
		if err := mountOn(r, device); err != nil {
			return nil, err
		}
	}
	return openDir(r)
}

// findDevice waits for the device to appear.
func findDevice(r request) (string, error) {
	ctx, cancel := r.within(stepDevice, "device", r.deadlines.Device)
	defer cancel()
	device, err := (&boot.Waiter{Find: finder(r.log), Log: r.log}).Wait(ctx, r.Device)
	if err == nil {
		r.log.Infof("target %s is %s", r.Device, device)
	}
	return device, err
}

func mountOn(r request, device string) error {
	ctx, cancel := r.within(stepMount, "mount", r.deadlines.Mount)
	defer cancel()
	return boot.MountTarget(ctx, r.Target, device, r.dir, boot.Mount)
}

// openDir opens the directory for dumps below r.dir. That may hang as mounting
// may.
func openDir(r request) (target.Target, error) {
	ctx, cancel := r.within(stepDir, "mount", r.deadlines.Mount)
	defer cancel()
	return openWithin(ctx, stepDir, func() (target.Target, error) {
		dir, err := boot.DumpDir(r.dir, r.Path)
		if err != nil {
			return nil, err
		}
		t, err := target.NewDir(dir)
		if err == nil && r.more {
			t.GiveUpAfter(goneLimit)
		}
		return t, err
	})
}

// openWithin opens a target unless ctx ends before: then what comes later is left
// where it is.
func openWithin(ctx context.Context, what string, open func() (target.Target, error)) (target.Target, error) {
	opened := make(chan target.Target, 1)
	err := boot.Within(ctx, what, func() error {
		t, err := open()
		opened <- t
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-opened, nil
}

// within begins a step that has one of the plan's deadlines.
func (r request) within(step, deadline string, d plan.Seconds) (context.Context, context.CancelFunc) {
	r.step(step, d.Duration())
	return deadlineContext(deadline, d)
}

// deadlineContext ends with a cause that names the plan's deadline.
func deadlineContext(name string, d plan.Seconds) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), d.Duration(),
		fmt.Errorf("deadline %q of %v has passed", name, d.Duration()))
}
