package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
)

func TestWorkerComplete(t *testing.T) {
	var p paper
	w := goodWorker(&p)
	var signs []string
	w.alive = func(_ int, step string, d time.Duration) {
		if d <= 0 {
			t.Errorf("step %s promises a sign within %v", step, d)
		}
		signs = append(signs, step)
	}
	var got capture.Config
	run := w.capture
	w.capture = func(ctx context.Context, cfg capture.Config) (*capture.Report, error) {
		got = cfg
		return run(ctx, cfg)
	}
	if v := w.run(); v != (verdict{Result: capture.Complete, Dir: "db1-now", Target: "/mnt/crash"}) {
		t.Errorf("verdict %+v", v)
	}
	if got.Core != corePath || got.Target == nil || got.Plan.Host != "db1" || string(got.CaptureLog()) != "log" {
		t.Errorf("capture was asked for %+v", got)
	}
	want := strings.Join([]string{stepPlan, stepModules, stepMount, stepCapture}, ",")
	if s := strings.Join(signs, ","); s != want {
		t.Errorf("signs %s, want %s", s, want)
	}
}

// TestWorkerSteps breaks each step in turn, by an error and by a panic.
func TestWorkerSteps(t *testing.T) {
	for _, tt := range []struct {
		step string
		do   func(w *worker, fail func() error)
	}{
		{stepPlan, func(w *worker, fail func() error) { w.readPlan = func() (*plan.Plan, error) { return nil, fail() } }},
		{stepMount, func(w *worker, fail func() error) {
			w.open[plan.KindFS] = func(r request) (target.Target, error) {
				r.step(stepMount, time.Second)
				return nil, fail()
			}
		}},
		{stepCapture, func(w *worker, fail func() error) {
			w.capture = func(context.Context, capture.Config) (*capture.Report, error) { return nil, fail() }
		}},
	} {
		for name, fail := range map[string]func() error{
			"error": func() error { return errTest },
			"panic": func() error { panic(errTest) },
		} {
			var p paper
			w := goodWorker(&p)
			tt.do(w, fail)
			v := w.run()
			if v.Result != capture.Failed || !strings.Contains(v.Error, errTest.Error()) {
				t.Errorf("%s, %s: %+v", tt.step, name, v)
			}
			if v.Step != tt.step && !(tt.step == stepPlan && name == "panic") { // that one has no step yet
				t.Errorf("%s, %s: step %s", tt.step, name, v.Step)
			}
			if !strings.Contains(p.String(), errTest.Error()) && !(tt.step == stepCapture && name == "error") { // PID 1 tells it
				t.Errorf("%s, %s: the console does not tell: %s", tt.step, name, p.String())
			}
			if name == "panic" && !strings.Contains(p.String(), "worker_test.go") {
				t.Errorf("%s, %s: no stack: %s", tt.step, name, p.String())
			}
			if name == "error" && tt.step != stepCapture && !strings.Contains(p.String(), "the old kernel's last words") {
				t.Errorf("%s, %s: the crashed kernel's log is not shown: %s", tt.step, name, p.String())
			}
		}
	}
}

// TestWorkerTargets tries two targets, of which the first fails in several ways.
func TestWorkerTargets(t *testing.T) {
	full := &capture.Report{Result: capture.Partial, FailedStep: "write", Error: "full", Dir: "part"}
	for _, tt := range []struct {
		name   string
		first  func() (*capture.Report, error) // nil: it cannot be opened
		second func() (*capture.Report, error)
		want   verdict
		tried  int // targets that a capture went to
	}{
		{"first is good", func() (*capture.Report, error) { return &capture.Report{Result: capture.Complete, Dir: "a"}, nil }, nil,
			verdict{Result: capture.Complete, Dir: "a", Target: "/mnt/crash"}, 1},
		{"first is absent", nil, func() (*capture.Report, error) { return &capture.Report{Result: capture.Complete, Dir: "b"}, nil },
			verdict{Result: capture.Complete, Dir: "b", Target: "/mnt/crash"}, 1},
		{"first is full", func() (*capture.Report, error) { return full, errTest },
			func() (*capture.Report, error) { return &capture.Report{Result: capture.Complete, Dir: "b"}, nil },
			verdict{Result: capture.Complete, Dir: "b", Target: "/mnt/crash"}, 2},
		{"second fails too", func() (*capture.Report, error) { return full, errTest }, func() (*capture.Report, error) { return nil, errTest },
			verdict{Result: capture.Partial, Step: "write", Error: "full", Dir: "part", Target: "/mnt/crash"}, 2},
		{"both fail", nil, func() (*capture.Report, error) { return nil, errTest },
			failed(stepMount, errTest), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p paper
			w := goodWorker(&p)
			pl := samplePlan()
			pl.Targets = append(pl.Targets, diskTarget("bb"))
			w.readPlan = func() (*plan.Plan, error) { return pl, nil }
			w.open[plan.KindFS] = func(r request) (target.Target, error) {
				r.step(stepMount, time.Second)
				if r.Device.Value == "aa" && tt.first == nil {
					return nil, errTest
				}
				return place{}, nil
			}
			tried := 0
			w.capture = func(_ context.Context, cfg capture.Config) (*capture.Report, error) {
				if cfg.Target == nil {
					return nil, errTest
				}
				tried++
				if cfg.TargetName == pl.Targets[0].String() {
					return tt.first()
				}
				if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "UUID=aa") {
					t.Errorf("the second target's report is told %q", cfg.Warnings)
				}
				return tt.second()
			}
			if v := w.run(); v != tt.want {
				t.Errorf("%+v, want %+v", v, tt.want)
			}
			if tried != tt.tried {
				t.Errorf("%d captures, want %d", tried, tt.tried)
			}
		})
	}
}

func TestWorkerFlavour(t *testing.T) {
	var p paper
	w := goodWorker(&p)
	w.open = nil
	if v := w.run(); v.Result != capture.Failed || !strings.Contains(v.Error, "build the image anew") {
		t.Errorf("%+v", v)
	}
}

// What no target has goes to the firmware: also where a target was there and did not
// take the log.
func TestWorkerLastLog(t *testing.T) {
	crashed := time.Unix(1_700_000_000, 0)
	for name, tt := range map[string]struct {
		capture *capture.Report // with a target
		text    string          // without one
		want    string
	}{
		"log saved":     {&capture.Report{Result: capture.Partial, Dir: "d", Files: []capture.File{{Name: capture.LogName + capture.EncryptedSuffix}}}, "log", ""},
		"log not saved": {&capture.Report{Result: capture.Failed, Dir: "d"}, "log", "log"},
		"not opened":    {nil, "log", "log"},
		"secret":        {nil, "", ""},
	} {
		var p paper
		w := goodWorker(&p)
		if tt.capture == nil {
			w.open[plan.KindFS] = func(r request) (target.Target, error) { r.step(stepMount, time.Second); return nil, errTest }
		}
		w.capture = func(_ context.Context, cfg capture.Config) (*capture.Report, error) {
			if cfg.Target != nil {
				return tt.capture, errTest
			}
			if tt.text != "" {
				cfg.LastLog([]byte(tt.text))
			}
			return &capture.Report{Result: capture.Failed, CrashTime: crashed}, errTest
		}
		got := ""
		w.lastLog = func(_ context.Context, text []byte, at time.Time) (string, error) {
			if got = string(text); !at.Equal(crashed) {
				t.Errorf("%s: crashed at %v", name, at)
			}
			return "the firmware", errTest
		}
		w.run()
		if got != tt.want || (tt.want != "") != strings.Contains(p.String(), "log is in the firmware") {
			t.Errorf("%s: the firmware has %q, want %q: %s", name, got, tt.want, p.String())
		}
	}
}

func TestWorkerModulesFail(t *testing.T) {
	for _, load := range []func(context.Context, []plan.Module) error{
		func(context.Context, []plan.Module) error { return errTest },
		func(context.Context, []plan.Module) error { panic(errTest) },
	} {
		var p paper
		w := goodWorker(&p)
		w.load = load
		if v := w.run(); v.Result != capture.Complete || !strings.Contains(p.String(), errTest.Error()) {
			t.Errorf("%+v: %s", v, p.String())
		}
	}
}

// toTarget is a capture that waits when it has a target.
func toTarget(wait func(context.Context)) func(context.Context, capture.Config) (*capture.Report, error) {
	return func(ctx context.Context, cfg capture.Config) (*capture.Report, error) {
		if cfg.Target != nil {
			wait(ctx)
		}
		return nil, context.Cause(ctx)
	}
}

func TestWorkerDeadlines(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for _, tt := range []struct {
		name, step, want string
		do               func(*worker, *plan.Plan)
	}{
		{"stall", stepCapture, `deadline "stall": no progress for 1ms`, func(w *worker, p *plan.Plan) {
			p.Deadlines.Stall = ms
			w.capture = toTarget(func(ctx context.Context) { <-ctx.Done() })
		}},
		{"capture", stepCapture, `deadline "capture" of 1ms`, func(w *worker, p *plan.Plan) {
			p.Deadlines.Capture = ms
			w.capture = toTarget(func(ctx context.Context) { <-ctx.Done() })
		}},
		{"capture does not end", stepCapture, "1ms later it had not ended", func(w *worker, p *plan.Plan) {
			p.Deadlines.Stall, w.finish = ms, time.Millisecond
			w.capture = toTarget(func(context.Context) { <-hang })
		}},
		{"log on console", stepMount, errTest.Error(), func(w *worker, _ *plan.Plan) {
			w.open[plan.KindFS] = func(r request) (target.Target, error) { r.step(stepMount, time.Second); return nil, errTest }
			w.capture = func(context.Context, capture.Config) (*capture.Report, error) { panic("no log either") }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p paper
			w := goodWorker(&p)
			pl := samplePlan()
			w.readPlan = func() (*plan.Plan, error) { return pl, nil }
			tt.do(w, pl)
			if v := w.run(); v.Result != capture.Failed || v.Step != tt.step || !strings.Contains(v.Error, tt.want) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// TestProgressHoldsStall moves on for longer than the stall deadline, then
// repeats itself: only the latter is a stall.
func TestProgressHoldsStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p paper
		w := goodWorker(&p)
		pl := samplePlan()
		pl.Deadlines.Stall = plan.Seconds(time.Second)
		w.readPlan = func() (*plan.Plan, error) { return pl, nil }
		moved := false
		w.capture = func(ctx context.Context, cfg capture.Config) (*capture.Report, error) {
			if cfg.Target == nil {
				return nil, errTest
			}
			var g capture.Progress
			for g.Total = 100; g.Done < 40; g.Done++ {
				if ctx.Err() != nil {
					return nil, errors.New("cancelled although it moved on")
				}
				cfg.Event(capture.Event{Step: "write", Progress: &g})
				time.Sleep(30 * time.Millisecond)
			}
			moved = true
			for ctx.Err() == nil {
				cfg.Event(capture.Event{Step: "write", Progress: &g})
				time.Sleep(time.Millisecond)
			}
			return &capture.Report{Result: capture.Partial, FailedStep: "write", Error: context.Cause(ctx).Error(), Dir: "d"}, errTest
		}
		v := w.run()
		if !moved || v.Result != capture.Partial || v.Step != "write" || !strings.Contains(v.Error, "stall") {
			t.Errorf("moved %v, %+v", moved, v)
		}
	})
}

// TestStuckTarget leaves a target behind that is silent for longer than one of its
// operations may be, when another follows; alone it has the plan's time.
func TestStuckTarget(t *testing.T) {
	for _, tt := range []struct {
		targets int
		want    time.Duration // until the first one is given up
	}{{1, 240 * time.Second}, {2, 75 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var p paper
			w := goodWorker(&p)
			w.finish = finishLimit
			pl := samplePlan()
			pl.Deadlines = plan.DefaultDeadlines()
			if tt.targets > 1 {
				pl.Targets = append(pl.Targets, diskTarget("bb"))
			}
			w.readPlan = func() (*plan.Plan, error) { return pl, nil }
			w.open[plan.KindFS] = func(r request) (target.Target, error) {
				if r.Device.Value == "aa" {
					r.patient(45 * time.Second)
				}
				return place{}, nil
			}
			w.capture = func(_ context.Context, cfg capture.Config) (*capture.Report, error) {
				if cfg.TargetName == pl.Targets[0].String() {
					time.Sleep(time.Hour)
					return nil, errTest
				}
				return &capture.Report{Result: capture.Complete, Dir: "b"}, nil
			}
			start := time.Now()
			v := w.run()
			if d := time.Since(start); d != tt.want || v.saved() != (tt.targets > 1) {
				t.Errorf("%d targets: %v after %v, want %v", tt.targets, v, d, tt.want)
			}
			time.Sleep(time.Hour) // what is stuck ends
		})
	}
}

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		o    outcome
		want verdict
	}{
		"complete":     {outcome{&capture.Report{Result: capture.Complete, Dir: "d", Files: []capture.File{{Name: capture.LogName}}}, nil}, verdict{Result: capture.Complete, Dir: "d", Target: "/mnt/crash", logged: true}},
		"contradicted": {outcome{&capture.Report{Result: capture.Complete, Dir: "d"}, errTest}, verdict{Result: capture.Partial, Step: stepCapture, Error: errTest.Error(), Dir: "d", Target: "/mnt/crash"}},
		"partial":      {outcome{&capture.Report{Result: capture.Partial, FailedStep: "write", Error: "full"}, errTest}, verdict{Result: capture.Partial, Step: "write", Error: "full", Target: "/mnt/crash"}},
		"nothing":      {outcome{}, verdict{Result: capture.Failed, Step: stepCapture, Error: "the capture gave no report"}},
	} {
		if got := judge(tt.o, place{}); got != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
