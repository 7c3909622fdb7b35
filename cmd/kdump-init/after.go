package main

import (
	"context"
	"fmt"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// stepNotify is the one after the capture.
const stepNotify = "notify"

// rules puts into a capture's configuration what the plan says about encryption
// and about other dumps.
func (w *worker) rules(p *plan.Plan, cfg *capture.Config) {
	cfg.Keep = past.Keep{Dumps: p.Keep.Dumps, Free: p.Keep.Free}
	if g := p.LoopGuard; g != nil {
		cfg.Guard = past.Guard{Dumps: g.Dumps, Within: g.Within.Duration()}
	}
	if len(p.Recipients) > 0 {
		cfg.Encrypt = w.encrypt(p.Recipients)
	}
}

// tell posts a report where the plan says so. Only the console hears of it when that
// fails: the capture is over, and the host does it again where it finds the report.
func (w *worker) tell(p *plan.Plan, rep *capture.Report, t target.Target) {
	if p.Notify == nil || rep == nil {
		return
	}
	w.sign(stepNotify, notifyLimit+killLimit)
	ctx, cancel := context.WithTimeoutCause(context.Background(), notifyLimit, fmt.Errorf("waited for %v", notifyLimit))
	defer cancel()
	err := boot.Within(ctx, stepNotify, func() error {
		if err := w.post(ctx, p.Notify, rep, t); err != nil {
			return err
		}
		w.log.Infof("the report was posted")
		return nil
	})
	if err != nil {
		w.log.Warnf("%s: %v", stepNotify, err)
	}
}
