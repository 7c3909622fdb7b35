package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/boot"
	"github.com/gokdump/gokdump/initramfs/rescue"
)

// fakeProcess is a worker under a test's control.
type fakeProcess struct {
	signs  chan sign
	exit   chan string
	killed chan struct{}
	once   sync.Once
	dies   bool // when killed
}

func newFake() *fakeProcess {
	return &fakeProcess{make(chan sign, 10), make(chan string, 1), make(chan struct{}), sync.Once{}, true}
}

func (f *fakeProcess) Signs() <-chan sign  { return f.signs }
func (f *fakeProcess) Exit() <-chan string { return f.exit }
func (f *fakeProcess) Kill() {
	f.once.Do(func() {
		close(f.killed)
		if f.dies {
			close(f.signs)
			f.exit <- "signal: killed"
		}
	})
}

// leave sends v as the last sign and ends the process.
func (f *fakeProcess) leave(v verdict) {
	f.signs <- sign{Verdict: &v}
	close(f.signs)
	f.exit <- "exit status 0"
}

// system is a machine under a supervisor.
type system struct {
	paper
	s        *supervisor
	plan     *plan.Plan
	proc     *fakeProcess
	mu       sync.Mutex
	did      []string
	short    []string // directories that had little time to be left in order
	resorts  []time.Duration
	choices  []rescue.Choice // of the rescue console
	verdicts []verdict       // that the console was given
}

func (m *system) Quiesce(ctx context.Context, dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.did = append(m.did, "quiesce "+dir)
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= minFinish {
		m.short = append(m.short, dir)
	}
	return nil
}
func (m *system) Do(a plan.Action, _ time.Duration) { m.did = append(m.did, string(a)) }

func newSystem() *system {
	m := &system{plan: samplePlan(), proc: newFake()}
	m.s = &supervisor{
		log:          m.log(),
		readPlan:     func() (*plan.Plan, error) { return m.plan, nil },
		haveCore:     func() error { return nil },
		start:        func(int) (process, error) { return m.proc, nil },
		openWatchdog: func() (boot.WatchdogDevice, error) { return nil, os.ErrNotExist },
		keepLog:      func(*plan.Plan, verdict) (string, error) { m.did = append(m.did, "log"); return "/mnt/x", nil },
		talk: func(_ *plan.Plan, v verdict, alive func(time.Duration)) rescue.Choice {
			alive(time.Hour)
			m.verdicts = append(m.verdicts, v)
			c := m.choices[0] // a panic when there is none left
			m.choices = m.choices[1:]
			return c
		},
		power:      m,
		lastResort: func(d time.Duration) { m.resorts = append(m.resorts, d) },
		flush:      func() {},
		kill:       100 * time.Millisecond,
	}
	return m
}

var good = verdict{Result: capture.Complete, Dir: "d", Target: "/mnt/c"}

const quiesce = "quiesce /mnt"

func TestSupervise(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*system)
		want []string // what was done
		text string   // on the console
	}{
		{"complete", func(m *system) { m.proc.leave(good) }, []string{quiesce, "poweroff"}, "the dump is complete, in /mnt/c/d"},
		{"partial", func(m *system) {
			m.proc.leave(verdict{Result: capture.Partial, Step: "write", Error: "full", Dir: "d", Target: "/mnt/c"})
		},
			[]string{quiesce, "halt"}, `partial at step "write": full`},
		{"complete with an error", func(m *system) { m.proc.leave(verdict{Result: capture.Complete, Error: "report not written"}) },
			[]string{quiesce, "halt"}, "failure action: halt"},
		{"not a crash kernel", func(m *system) {
			m.s.haveCore = func() error { return os.ErrNotExist }
			m.s.start = func(int) (process, error) { panic("started") }
		}, []string{quiesce, "halt"}, "not a crash kernel"},
		{"no plan", func(m *system) {
			m.s.readPlan = func() (*plan.Plan, error) { return nil, errTest }
			m.proc.leave(failed(stepPlan, errTest))
		}, []string{"log", quiesce, "reboot"}, errTest.Error()},
		{"cannot start", func(m *system) { m.s.start = func(int) (process, error) { return nil, errTest } }, []string{quiesce, "halt"}, "start worker"},
		{"start panics", func(m *system) { m.s.start = func(int) (process, error) { panic(errTest) } }, []string{quiesce, "halt"}, "panic: broken on purpose"},
		{"dies", func(m *system) {
			m.proc.signs <- sign{Step: "write", Within: 3600}
			close(m.proc.signs)
			m.proc.exit <- "signal: killed"
		}, []string{"log", quiesce, "halt"}, `failed at step "write": signal: killed`},
		{"dies after its verdict", func(m *system) { m.proc.leave(good); m.s.kill = time.Hour }, []string{quiesce, "poweroff"}, "complete"},
		{"says nothing more", func(m *system) { m.proc.signs <- sign{Step: "write"} },
			[]string{"log", quiesce, "halt"}, `failed at step "write": no sign of progress for 0s`},
		{"closes its pipe and stays", func(m *system) { m.proc.dies = false; close(m.proc.signs) },
			[]string{"log", quiesce, "halt"}, "cannot be killed"},
		{"does not exit", func(m *system) { m.proc.signs <- sign{Verdict: &good} }, []string{quiesce, "poweroff"}, "complete"},
		{"does not die", func(m *system) { m.proc.dies = false; m.proc.signs <- sign{Verdict: &good} }, []string{quiesce, "poweroff"}, "cannot be killed"},
		{"shell by the plan", func(m *system) {
			m.plan.FailureAction = plan.Shell
			m.choices = []rescue.Choice{rescue.Poweroff}
			m.proc.leave(failed(stepMount, errTest))
		}, []string{"log", quiesce, "poweroff"}, "failure action: shell"},
		{"shell by the command line", func(m *system) {
			m.s.opts.Shell = true
			m.choices = []rescue.Choice{rescue.Reboot}
			m.proc.leave(failed(stepMount, errTest))
		}, []string{"log", quiesce, "reboot"}, "failure action: shell"},
		{"no shell for a good dump", func(m *system) { m.s.opts.Shell = true; m.proc.leave(good) }, []string{quiesce, "poweroff"}, "complete"},
		{"final shell", func(m *system) {
			m.plan.FinalAction = plan.Shell
			m.choices = []rescue.Choice{rescue.Halt}
			m.proc.leave(good)
		}, []string{quiesce, "halt"}, "complete"},
		{"shell panics", func(m *system) { m.s.opts.Shell = true; m.proc.leave(failed(stepMount, errTest)) }, []string{"log", quiesce, "reboot"}, "rescue console: panic"},
		{"retry", func(m *system) {
			m.s.opts.Shell = true
			m.choices = []rescue.Choice{rescue.Retry, rescue.Retry}
			tries := 0
			m.s.start = func(int) (process, error) {
				if tries++; tries < 3 {
					return nil, errTest
				}
				m.proc.leave(good)
				return m.proc, nil
			}
		}, []string{quiesce, "poweroff"}, "once more"},
		{"unmount panics", func(m *system) { m.s.power = badPower{m}; m.proc.leave(good) }, []string{"poweroff"}, "unmount the target: panic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newSystem()
			tt.do(m)
			m.s.run()
			if !slices.Equal(m.did, tt.want) {
				t.Errorf("did %q, want %q", m.did, tt.want)
			}
			if !strings.Contains(m.String(), tt.text) {
				t.Errorf("%q is not in %s", tt.text, m.String())
			}
			if n := len(m.resorts); n < 2 || m.resorts[n-1] != ending(m.plan.Deadlines) && m.resorts[n-1] != ending(fallbackPlan().Deadlines) {
				t.Errorf("last resort: %v", m.resorts)
			}
			for _, v := range m.verdicts {
				if v.Step == "" && v.Result != capture.Complete {
					t.Errorf("the rescue console was told nothing: %+v", v)
				}
			}
		})
	}
}

// TestNextTarget kills the worker over the first of two targets: another one goes
// on with the second.
func TestNextTarget(t *testing.T) {
	m := newSystem()
	m.plan.Targets = append(m.plan.Targets, diskTarget("bb"))
	m.plan.Deadlines.Reboot = plan.DefaultDeadlines().Reboot
	var first []int
	m.s.start = func(n int) (process, error) {
		first = append(first, n)
		p := newFake()
		if len(first) == 1 {
			p.signs <- sign{Step: "write", Within: 3600}
			close(p.signs)
			p.exit <- "signal: killed"
		} else {
			p.signs <- sign{Step: "write", Target: 1, Within: 3600}
			p.leave(good)
		}
		return p, nil
	}
	m.s.run()
	if !slices.Equal(m.short, []string{"/mnt"}) {
		t.Errorf("in a hurry with %q, want the target that was given up", m.short)
	}
	if !slices.Equal(first, []int{0, 1}) {
		t.Errorf("workers began with targets %d, want 0, then 1", first)
	}
	if want := []string{"log", quiesce, quiesce + "2", "poweroff"}; !slices.Equal(slices.Sorted(slices.Values(m.did)), slices.Sorted(slices.Values(want))) {
		t.Errorf("did %q, want %q: %s", m.did, want, m.String())
	}
}

// badPower fails where it may.
type badPower struct{ *system }

func (badPower) Quiesce(context.Context, string) error { panic("driver") }

func TestWholeDeadline(t *testing.T) {
	m := newSystem()
	d := &m.plan.Deadlines
	d.Device, d.Mount, d.Capture = -plan.Seconds(startLimit+finishLimit+lastLimit+2*killLimit)/2, 0, ms
	m.proc.signs <- sign{Step: "write", Within: 3600} // alive, but for too long
	m.s.run()
	if !strings.Contains(m.String(), "took longer than 1ms") || m.did[len(m.did)-1] != "halt" {
		t.Errorf("did %q: %s", m.did, m.String())
	}
	select {
	case <-m.proc.killed:
	default:
		t.Error("the worker was left alive")
	}
}

// hardware notes how a watchdog is treated.
type hardware struct {
	mu    sync.Mutex
	calls []string
}

func (h *hardware) note(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, s)
}
func (h *hardware) Feed() error                 { h.note("feed"); return nil }
func (h *hardware) SetTimeout(int) (int, error) { return 30, nil }
func (h *hardware) Close(disarm bool) error {
	h.note(map[bool]string{true: "disarm", false: "leave armed"}[disarm])
	return nil
}

func TestWatchdogAtTheEnd(t *testing.T) {
	for action, want := range map[plan.Action]string{plan.Reboot: "leave armed", plan.Poweroff: "disarm", plan.Halt: "disarm"} {
		m := newSystem()
		m.plan.FinalAction = action
		h := &hardware{}
		tries := 0
		m.s.openWatchdog = func() (boot.WatchdogDevice, error) {
			if tries++; tries < 2 {
				return nil, os.ErrNotExist // its driver is not loaded yet
			}
			return h, nil
		}
		m.proc.signs <- sign{Step: stepModules, Within: 60}
		m.proc.signs <- sign{Step: stepDevice, Within: 60}
		m.proc.signs <- sign{Verdict: &good}
		m.s.run()
		if h.calls[len(h.calls)-1] != want || tries != 2 {
			t.Errorf("%s: %q after %d tries", action, h.calls, tries)
		}
	}
}

func TestWatchdogInUse(t *testing.T) {
	m := newSystem()
	tries := 0
	m.s.openWatchdog = func() (boot.WatchdogDevice, error) { tries++; return nil, errTest }
	m.proc.signs <- sign{Step: stepModules, Within: 60}
	m.proc.signs <- sign{Verdict: &good}
	m.s.run()
	if tries != 1 || !strings.Contains(m.String(), "no hardware watchdog") {
		t.Errorf("%d tries: %s", tries, m.String())
	}
}

// TestRebootFails uses the real power over broken system calls: everything that
// may restart the machine must have been tried.
func TestRebootFails(t *testing.T) {
	var mu sync.Mutex
	var tried []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		tried = append(tried, s)
	}
	m := newSystem()
	m.s.power = &boot.Power{
		Sync:    func(string) error { return nil },
		Unmount: func(string, int) error { return nil },
		Reboot:  func(int) error { note("reboot(2)"); return errors.New("no") },
		SysRq:   func(c byte) error { note("sysrq " + string(c)); return nil },
		Sleep:   func(time.Duration) {},
	}
	m.plan.FinalAction = plan.Reboot
	m.proc.leave(good)
	m.s.run()
	if want := []string{"reboot(2)", "sysrq s", "sysrq u", "sysrq b", "reboot(2)"}; !slices.Equal(tried, want) {
		t.Errorf("tried %q, want %q", tried, want)
	}
}
