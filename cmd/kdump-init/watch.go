package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// outcome is what capture.Run gave.
type outcome struct {
	rep *capture.Report
	err error
}

// runCapture runs the capture under its two deadlines. When the whole capture
// takes too long or makes no progress, it is told to stop and ends the dump as a
// partial one; when it does not even do that, it is left where it is.
func (w *worker) runCapture(p *plan.Plan, t target.Target, tried []string) verdict {
	d := p.Deadlines
	whole, stop := deadlineContext("capture", d.Capture)
	defer stop()
	ctx, cancel := context.WithCancelCause(whole)
	defer cancel(nil)

	moved := make(chan struct{}, 1)
	done := make(chan outcome, 1)
	cfg := capture.Config{Core: corePath, Target: t, TargetName: p.Targets[w.at].String(), Plan: p,
		Warnings: tried, Event: w.events(moved), CaptureLog: w.captureLog}
	w.rules(p, &cfg)
	go func() {
		var o outcome
		err := boot.Guard(func() error { o.rep, o.err = w.capture(ctx, cfg); return nil })
		if err != nil {
			w.report(stepCapture, err)
			o.err = err
		}
		done <- o
	}()

	// PID 1 must not lose patience before this loop does.
	stall := d.Stall.Duration()
	if w.more(p) && w.patience > 0 {
		// An operation failed unheard if it is silent for longer: the dump cannot
		// become whole any more.
		stall = min(stall, w.patience+killLimit)
	}
	// A disk that gives no sign for that long will not take much more; and less is
	// waited for it where there is another place for the whole dump.
	finish := min(w.finish, max(2*stall, minFinish))
	if w.more(p) {
		finish = min(finish, max(stall/4, minFinish))
	}
	w.sign(stepCapture, stall+finish)
	quiet := time.NewTimer(stall)
	defer quiet.Stop()
	ended := ctx.Done()
	var giveUp <-chan time.Time
	for {
		select {
		case o := <-done:
			v := judge(o, t)
			w.tell(p, o.rep, t)
			v.Late = whole.Err() != nil
			return v
		case <-moved:
			if giveUp == nil {
				quiet.Reset(stall)
				w.sign(stepCapture, stall+finish)
			}
		case <-quiet.C:
			cancel(fmt.Errorf("deadline %q: no progress for %v", "stall", stall))
		case <-ended:
			ended = nil // once
			w.log.Warnf("%v; the dump is finished with what it has", context.Cause(ctx))
			w.sign("finish dump", finish)
			giveUp = time.After(finish)
		case <-giveUp:
			err := fmt.Errorf("%w; and %v later it had not ended", context.Cause(ctx), finish)
			w.report(stepCapture, err)
			return failed(stepCapture, err)
		}
	}
}

// judge makes the verdict out of what the capture says of itself. Only a report
// that says complete, without an error beside it, is believed to be.
func judge(o outcome, t target.Target) verdict {
	if o.rep == nil {
		if o.err == nil {
			o.err = errors.New("the capture gave no report")
		}
		return failed(stepCapture, o.err)
	}
	v := verdict{Result: o.rep.Result, Step: o.rep.FailedStep, Error: o.rep.Error, Dir: o.rep.Dir, Target: t.String()}
	for _, f := range o.rep.Files {
		v.logged = v.logged || strings.HasPrefix(f.Name, capture.LogName)
	}
	if o.err != nil {
		if v.saved() {
			v.Result = capture.Partial
		}
		if v.Error == "" {
			v.Step, v.Error = stepCapture, o.err.Error()
		}
	}
	return v
}

// events puts what a capture tells on the consoles. moved, if not nil, is poked
// whenever something got further.
func (w *worker) events(moved chan<- struct{}) func(capture.Event) {
	m := &meter{now: time.Now}
	var step string
	var seen capture.Progress
	return func(e capture.Event) {
		further := e.Message != "" || e.Step != step
		step = e.Step
		if e.Message != "" {
			w.log.Infof("%s: %s", e.Step, e.Message)
		}
		if p := e.Progress; p != nil {
			further = further || p.Done != seen.Done || p.BytesIn != seen.BytesIn || p.BytesOut != seen.BytesOut
			seen = *p
			switch line, mark := m.line(e.Step, *p); {
			case mark:
				w.log.Infof("%s", line)
			case line != "":
				w.log.Progress(line)
			}
		}
		if further && moved != nil {
			select {
			case moved <- struct{}{}:
			default:
			}
		}
	}
}
