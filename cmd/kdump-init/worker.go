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
	alive    func(target int, step string, within time.Duration)
	readPlan func() (*plan.Plan, error)
	load     func(context.Context, []plan.Module) error
	// open gets a target of each kind ready.
	open    map[plan.Kind]opener
	capture func(context.Context, capture.Config) (*capture.Report, error)
	// encrypt makes the Encrypt of a capture's configuration.
	encrypt func(recipients []string) func(target.Target) (target.Target, error)
	// post posts a report and notes that in the target, if that can be.
	post func(context.Context, *plan.Notify, *capture.Report, target.Target) error
	// lastLog saves the end of the crashed kernel's log where neither a disk nor a
	// network is needed, and says where that is.
	lastLog func(ctx context.Context, text []byte, crashed time.Time) (where string, err error)
	// captureLog gives the text of capture.log.
	captureLog func() []byte
	// finish is finishLimit; tests have less patience.
	finish time.Duration
	// first is the target to begin with: an attempt before this one died over
	// those before it.
	first int
	// at is the target under way.
	at int
	// patience is how long one of its operations may take before it fails; 0 where
	// nobody knows.
	patience time.Duration
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
	w.at = w.first
	w.sign(stepPlan, startLimit)
	p, err := w.readPlan()
	if err != nil {
		w.report(stepPlan, err)
		w.logElsewhere(fallbackPlan())
		return failed(stepPlan, err)
	}
	w.loadModules(p)
	var best verdict
	var tried []string
	logged := false // some target has the log
	for ; w.at < len(p.Targets); w.at++ {
		t, step, err := w.prepare(p)
		var v verdict
		if err != nil {
			w.report(step, err)
			v = failed(step, err)
		} else {
			v = w.runCapture(p, t, tried)
			logged = logged || v.logged
			t.Close()
		}
		if best.Result == "" || better(v, best) {
			best = v
		}
		if v.saved() || v.Late {
			return best
		}
		tried = append(tried, fmt.Sprintf("target %s: %v", p.Targets[w.at], v))
		if w.more(p) {
			w.log.Warnf("%v; now the next target", v)
		}
	}
	w.at--
	if !logged {
		w.logElsewhere(p)
	}
	return best
}

// better tells whether a leaves a person with more than b.
func better(a, b verdict) bool {
	worth := func(v verdict) int {
		switch {
		case v.saved():
			return 3
		case v.Result == capture.Partial:
			return 2
		case v.Dir != "": // the log, at least
			return 1
		}
		return 0
	}
	return worth(a) > worth(b)
}

// more tells whether another target follows the one under way.
func (w *worker) more(p *plan.Plan) bool { return w.at+1 < len(p.Targets) }

// sign tells PID 1 what begins.
func (w *worker) sign(step string, within time.Duration) { w.alive(w.at, step, within) }

// loadModules loads the drivers. What could not be loaded may not have been
// needed.
func (w *worker) loadModules(p *plan.Plan) {
	w.sign(stepModules, p.Deadlines.Device.Duration())
	ctx, cancel := deadlineContext("device", p.Deadlines.Device)
	defer cancel()
	if err := boot.Guard(func() error { return w.load(ctx, p.Modules) }); err != nil {
		w.log.Warnf("%s: %v", stepModules, err)
		return
	}
	w.log.Infof("%d modules loaded", len(p.Modules))
}

// prepare gets the target under way ready. On error it gives the step's name.
func (w *worker) prepare(p *plan.Plan) (t target.Target, step string, err error) {
	r := request{
		Target:    p.Targets[w.at],
		deadlines: p.Deadlines,
		network:   p.Network,
		more:      w.more(p),
		dir:       boot.MountPointOf(w.at),
		log:       w.log,
	}
	w.patience = 0
	r.patient = func(d time.Duration) { w.patience = d }
	step = stepDevice
	r.step = func(name string, limit time.Duration) {
		step = name
		w.sign(name, limit)
	}
	open := w.open[r.Kind]
	if open == nil {
		return nil, step, fmt.Errorf("this kdump-init cannot save to %s: build the image anew with kdump-mkinitramfs", r.Target)
	}
	err = boot.Guard(func() (err error) { t, err = open(r); return err })
	return t, step, err
}

// logElsewhere shows the end of the crashed kernel's log, and leaves it in the
// machine's firmware, when no target has it.
func (w *worker) logElsewhere(p *plan.Plan) {
	w.sign("show log", logLimit)
	w.log.Infof("no target has the log; the end of the crashed kernel's log follows")
	ctx, cancel := context.WithTimeoutCause(context.Background(), logLimit, errors.New("took too long"))
	defer cancel()
	reports := make(chan *capture.Report, 1)
	texts := make(chan []byte, 1)
	err := boot.Within(ctx, "show log", func() error {
		// Its error says that nothing was saved: that is known.
		cfg := capture.Config{Core: corePath, Plan: p, Event: w.events(nil), LastLog: func(text []byte) { texts <- text }}
		w.rules(p, &cfg)
		rep, _ := w.capture(ctx, cfg)
		reports <- rep
		return nil
	})
	if err != nil {
		w.report("show log", err)
	}
	crashed := time.Now()
	var rep *capture.Report
	select {
	case rep = <-reports:
	default:
	}
	if rep != nil {
		crashed = rep.CrashTime
	}
	select {
	case text := <-texts:
		w.saveLast(text, crashed)
	default:
	}
	if rep != nil {
		w.tell(p, rep, nil)
	}
}

// saveLast leaves text in the machine's firmware. A call into that may hang.
func (w *worker) saveLast(text []byte, crashed time.Time) {
	const step = "save log to the firmware"
	w.sign(step, firmwareLimit+killLimit)
	ctx, cancel := context.WithTimeoutCause(context.Background(), firmwareLimit, fmt.Errorf("waited for %v", firmwareLimit))
	defer cancel()
	err := boot.Within(ctx, step, func() error {
		where, err := w.lastLog(ctx, text, crashed)
		if where != "" {
			w.log.Infof("the end of the crashed kernel's log is in %s", where)
		}
		return err
	})
	if err != nil {
		w.log.Warnf("%s: %v", step, err)
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
