package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// corePath is the crashed kernel's memory.
const corePath = "/proc/vmcore"

// The steps before the capture's own, as a verdict names them.
const (
	stepPlan    = "read plan"
	stepModules = "load modules"
	stepDevice  = "find target"
	stepMount   = "mount target"
	stepDir     = "open dump directory"
	stepCapture = "capture"
)

// worker is one attempt at a capture, in a process of its own. The functions
// are its steps.
type worker struct {
	log      *boot.Log
	alive    func(step string, within time.Duration)
	readPlan func() (*plan.Plan, error)
	load     func(context.Context, []plan.Module) error
	// mounted tells whether a target is mounted already: by an attempt before
	// this one, or by a person on the rescue console.
	mounted func() bool
	find    func(context.Context, plan.Device) (string, error)
	mount   func(ctx context.Context, t plan.Target, device string) error
	open    func(t plan.Target) (target.Target, error)
	capture func(context.Context, capture.Config) (*capture.Report, error)
	// captureLog gives the text of capture.log.
	captureLog func() []byte
	// finish is finishLimit; tests have less patience.
	finish time.Duration
}

// run does one attempt. It gives a verdict whatever happens in its goroutine.
func (w *worker) run() (v verdict) {
	err := boot.Guard(func() error { v = w.attempt(); return nil })
	if err != nil {
		w.report(stepCapture, err)
		v = failed(stepCapture, err)
	}
	return v
}

func (w *worker) attempt() verdict {
	w.alive(stepPlan, startLimit)
	p, err := w.readPlan()
	if err != nil {
		w.report(stepPlan, err)
		w.logToConsole(fallbackPlan())
		return failed(stepPlan, err)
	}
	t, step, err := w.prepare(p)
	if err != nil {
		w.report(step, err)
		w.logToConsole(p)
		return failed(step, err)
	}
	defer t.Close()
	return w.runCapture(p, t)
}

// prepare does what comes before the capture. On error it gives the step's name.
func (w *worker) prepare(p *plan.Plan) (t target.Target, step string, err error) {
	d := p.Deadlines
	ctx, cancel := context.WithTimeoutCause(context.Background(), d.Device.Duration(),
		fmt.Errorf("deadline %q of %v has passed", "device", d.Device.Duration()))
	defer cancel()

	// Drivers and the device share a deadline: most of what is waited for is
	// their probing. What could not be loaded may not have been needed.
	w.alive(stepModules, d.Device.Duration())
	if err := boot.Guard(func() error { return w.load(ctx, p.Modules) }); err != nil {
		w.log.Warnf("%s: %v", stepModules, err)
	} else {
		w.log.Infof("%d modules loaded", len(p.Modules))
	}

	var device string
	found := w.mounted()
	if found {
		w.log.Infof("the target is mounted already")
	} else {
		w.alive(stepDevice, d.Device.Duration())
		if err := boot.Guard(func() (err error) { device, err = w.find(ctx, p.Target.Device); return err }); err != nil {
			return nil, stepDevice, err
		}
		w.log.Infof("target %s is %s", p.Target.Device, device)
	}

	w.alive(stepMount, d.Mount.Duration())
	mctx, mcancel := context.WithTimeoutCause(context.Background(), d.Mount.Duration(),
		fmt.Errorf("deadline %q of %v has passed", "mount", d.Mount.Duration()))
	defer mcancel()
	if !found {
		if err := boot.Guard(func() error { return w.mount(mctx, p.Target, device) }); err != nil {
			return nil, stepMount, err
		}
	}
	// Making a directory may hang as mounting may: it has what is left.
	opened := make(chan target.Target, 1)
	err = boot.Within(mctx, stepDir, func() error {
		t, err := w.open(p.Target)
		opened <- t
		return err
	})
	if err != nil {
		return nil, stepDir, err
	}
	return <-opened, "", nil
}

// logToConsole shows the end of the crashed kernel's log when there is no place
// for it.
func (w *worker) logToConsole(p *plan.Plan) {
	w.alive("show log", logLimit)
	w.log.Infof("there is no target; the end of the crashed kernel's log follows")
	ctx, cancel := context.WithTimeoutCause(context.Background(), logLimit, errors.New("took too long"))
	defer cancel()
	err := boot.Within(ctx, "show log", func() error {
		// Its error says that nothing was saved: that is known.
		_, _ = w.capture(ctx, capture.Config{Core: corePath, Plan: p, Event: w.events(nil)})
		return nil
	})
	if err != nil {
		w.report("show log", err)
	}
}

// report puts an error on the consoles, with the stack if it was a panic.
func (w *worker) report(step string, err error) {
	w.log.Errorf("%s: %v", step, err)
	var p *boot.PanicError
	if errors.As(err, &p) {
		w.log.Errorf("%s", p.Stack)
	}
}
