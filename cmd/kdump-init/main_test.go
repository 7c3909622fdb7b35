package main

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kdump-init": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

// paper is what a log is written to.
type paper struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

func (p *paper) log() *boot.Log { return boot.NewLog(p, nil, 8, true) }

func samplePlan() *plan.Plan {
	sec := plan.Seconds(time.Hour)
	return &plan.Plan{
		Version: plan.Version, Host: "db1", Kernel: "6.1.0",
		Modules:       []plan.Module{{Name: "virtio_blk", Path: "/modules/virtio_blk.ko"}},
		Targets:       []plan.Target{diskTarget("aa")},
		Dump:          plan.Dump{Level: 31, Codec: "zstd"},
		Deadlines:     plan.Deadlines{Device: sec, Mount: sec, Stall: sec, Capture: sec, Reboot: sec},
		FailureAction: plan.Halt,
		FinalAction:   plan.Poweroff,
	}
}

func diskTarget(uuid string) plan.Target {
	return plan.Target{Kind: plan.KindFS, FSType: "ext4", Device: plan.Device{By: plan.ByUUID, Value: uuid}, Path: "/crash"}
}

// ms is a short deadline; plans in JSON have whole seconds, tests less patience.
const ms = plan.Seconds(time.Millisecond)

var errTest = errors.New("broken on purpose")

// place is a target that takes nothing.
type place struct{ target.Target }

func (place) String() string { return "/mnt/crash" }
func (place) Close() error   { return nil }

// goodWorker does every step well.
func goodWorker(p *paper) *worker {
	return &worker{
		log:      p.log(),
		alive:    func(int, string, time.Duration) {},
		readPlan: func() (*plan.Plan, error) { return samplePlan(), nil },
		load:     func(context.Context, []plan.Module) error { return nil },
		open: map[plan.Kind]opener{plan.KindFS: func(r request) (target.Target, error) {
			r.step(stepMount, time.Second)
			return place{}, nil
		}},
		capture: func(_ context.Context, cfg capture.Config) (*capture.Report, error) {
			if cfg.Target == nil {
				cfg.Event(capture.Event{Step: "save log", Message: "the old kernel's last words"})
				return &capture.Report{Result: capture.Failed, Error: "no target"}, errTest
			}
			return &capture.Report{Result: capture.Complete, Dir: "db1-now"}, nil
		},
		encrypt: func(to []string) func(target.Target) (target.Target, error) {
			return func(target.Target) (target.Target, error) { return nil, errTest }
		},
		lastLog:    func(context.Context, []byte, time.Time) (string, error) { return "", nil },
		post:       func(context.Context, *plan.Notify, *capture.Report, target.Target) error { return nil },
		captureLog: func() []byte { return []byte("log") },
		finish:     time.Hour,
	}
}
