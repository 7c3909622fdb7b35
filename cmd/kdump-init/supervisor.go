package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/boot"
	"github.com/gokdump/gokdump/initramfs/rescue"
)

// process is a running worker.
type process interface {
	// Signs are what it sends; closed when it cannot send any more.
	Signs() <-chan sign
	// Exit gives, once, how it ended.
	Exit() <-chan string
	// Kill ends it, unless it is stuck in the kernel.
	Kill()
}

// power ends the machine's run; see [boot.Power].
type power interface {
	Quiesce(ctx context.Context, dir string) error
	Do(a plan.Action, patience time.Duration)
}

// supervisor is PID 1 once the kernel's file systems are there. The functions
// are the system.
type supervisor struct {
	log      *boot.Log
	opts     boot.Options
	readPlan func() (*plan.Plan, error)
	haveCore func() error
	// start starts a worker that begins with the plan's target first.
	start func(first int) (process, error)
	// openWatchdog gives [os.ErrNotExist] on a machine without one.
	openWatchdog func() (boot.WatchdogDevice, error)
	// keepLog saves the log of an attempt that left no report, if there is a
	// place for it, and says where.
	keepLog func(p *plan.Plan, v verdict) (string, error)
	// talk runs the rescue console.
	talk  func(p *plan.Plan, v verdict, alive func(time.Duration)) rescue.Choice
	power power
	// lastResort moves the last-resort timer.
	lastResort func(time.Duration)
	// flush waits for the console.
	flush func()
	// kill is killLimit; tests have less patience.
	kill time.Duration

	dog     *boot.Watchdog
	dogGone bool
	savedIn int // which target has the dump, if any has
}

// run does it all. It returns only where the machine's end is a fake.
func (s *supervisor) run() {
	for {
		p, err := s.readPlan()
		if err != nil {
			s.log.Errorf("%s: %v", stepPlan, err)
			p = fallbackPlan()
		}
		var v verdict
		if err := boot.Guard(func() error { v = s.attempt(p); return nil }); err != nil {
			v = failed("supervise", err)
		}
		action := s.conclude(p, v)
		if action == again {
			// What is mounted stays: a person may have mounted another disk.
			s.log.Infof("once more")
			continue
		}
		s.end(p, action)
		return
	}
}

// again is the rescue console's retry, among the actions.
const again plan.Action = "retry"

// attempt runs a worker and watches it. One that dies or gets stuck over a
// target is followed by another that begins with the next.
func (s *supervisor) attempt(p *plan.Plan) verdict {
	s.lastResort(whole(p) + ending(p.Deadlines))
	if err := s.haveCore(); err != nil {
		return failed("open core", fmt.Errorf("this is not a crash kernel: %w; kdump-arm load arms a machine, and only a panic starts this image", err))
	}
	for first := 0; ; {
		proc, err := s.start(first)
		if err != nil {
			return failed("start worker", err)
		}
		v, at, said := s.watch(p, proc)
		if v.saved() {
			s.savedIn = at
		}
		if !v.saved() && v.Dir == "" { // died, or stuck
			where, err := s.keepLog(p, v)
			switch {
			case err != nil:
				s.log.Warnf("the log could not be saved: %v", err)
			case where != "":
				s.log.Infof("the log is in %s", where)
			}
		}
		if said || at+1 >= len(p.Targets) || at < first {
			return v
		}
		first = at + 1
		s.lastResort(whole(p) + ending(p.Deadlines))
		s.log.Errorf("%v", v)
		s.log.Infof("now the next target, %s", p.Targets[first])
	}
}

// watch follows a worker to its verdict, or to its end: then it makes the
// verdict itself, and said is false. at is the target that it was about.
func (s *supervisor) watch(p *plan.Plan, proc process) (v verdict, at int, said bool) {
	limit := whole(p)
	hard := time.NewTimer(limit)
	defer hard.Stop()
	within := startLimit
	quiet := time.NewTimer(within + s.kill)
	defer quiet.Stop()
	step := "start worker"
	signs, exit := proc.Signs(), proc.Exit()
	for {
		select {
		case x, open := <-signs:
			switch {
			case !open:
				// Either it ends now, or it runs on and says nothing.
				signs = nil
				quiet.Reset(s.kill)
			case x.Verdict != nil:
				s.reap(proc)
				return *x.Verdict, at, true
			default:
				step, at = x.Step, x.Target
				within = time.Duration(x.Within) * time.Second
				quiet.Reset(within + s.kill)
				s.keep(within)
			}
		case how := <-exit:
			// What it sent before is still in the pipe.
			for signs != nil {
				select {
				case x, open := <-signs:
					if !open {
						signs = nil
					} else if x.Verdict != nil {
						return *x.Verdict, at, true
					} else {
						step, at = x.Step, x.Target
					}
				case <-time.After(s.kill):
					signs = nil
				}
			}
			return failed(step, errors.New(how)), at, false
		case <-quiet.C:
			s.log.Errorf("%s: no sign of progress for %v", step, within)
			s.reap(proc)
			return failed(step, fmt.Errorf("no sign of progress for %v", within)), at, false
		case <-hard.C:
			s.log.Errorf("%s: %v have passed", step, limit)
			s.reap(proc)
			return failed(step, fmt.Errorf("it all took longer than %v", limit)), at, false
		}
	}
}

// reap waits for a worker's end, and brings it about. One that is stuck in the
// kernel is left there.
func (s *supervisor) reap(proc process) {
	for range 2 {
		select {
		case <-proc.Exit():
			return
		case <-time.After(s.kill):
			proc.Kill()
		}
	}
	s.log.Warnf("the worker cannot be killed: it is stuck in the kernel")
}

// conclude says what came out and gives what is to be done now.
func (s *supervisor) conclude(p *plan.Plan, v verdict) plan.Action {
	action := p.FinalAction
	if v.saved() && v.Error == "" {
		s.log.Infof("%v", v)
	} else {
		action = p.FailureAction
		if s.opts.Shell {
			action = plan.Shell
		}
		s.log.Errorf("%v", v)
		s.log.Errorf("failure action: %s", action)
	}
	if action != plan.Shell {
		return action
	}
	s.flush()
	// While a person is there, the console's own deadline is the only one.
	alive := func(d time.Duration) {
		s.keep(d + s.kill)
		s.lastResort(d + s.kill + ending(p.Deadlines))
	}
	choice := rescue.Reboot
	if err := boot.Guard(func() error { choice = s.talk(p, v, alive); return nil }); err != nil {
		s.log.Errorf("rescue console: %v", err)
	}
	return plan.Action(choice)
}

// quiesce writes back and unmounts the targets, all within the plan's deadline,
// and side by side: one may be stuck. Those that were given up for another, which has
// all, get less of it: most of them are stuck.
func (s *supervisor) quiesce(p *plan.Plan) {
	var all sync.WaitGroup
	for i := range max(len(p.Targets), 1) {
		all.Go(func() {
			limit := p.Deadlines.Reboot
			if i < s.savedIn {
				limit = min(limit, plan.Seconds(minFinish))
			}
			ctx, cancel := deadlineContext("reboot", limit)
			defer cancel()
			if err := boot.Guard(func() error { return s.power.Quiesce(ctx, boot.MountPointOf(i)) }); err != nil {
				s.log.Errorf("unmount the target: %v", err)
			}
		})
	}
	all.Wait()
}

// end leaves the machine in good order as far as that goes, and ends its run in
// any case.
func (s *supervisor) end(p *plan.Plan, a plan.Action) {
	s.lastResort(ending(p.Deadlines))
	s.keep(ending(p.Deadlines))
	s.quiesce(p)
	s.log.Infof("%s", a)
	s.flush()
	// For a reboot the hardware goes on counting: a driver's shutdown may hang.
	s.dog.Close(a == plan.Poweroff || a == plan.Halt)
	s.power.Do(a, p.Deadlines.Reboot.Duration())
}

// keep has the hardware watchdog fed for d more. Its driver may be one of the
// plan's modules, so it is looked for at each sign until it is there.
func (s *supervisor) keep(d time.Duration) {
	if s.dog == nil && !s.dogGone {
		s.findWatchdog(d)
	}
	s.dog.Keep(d)
}
