package main

import (
	"time"

	"github.com/gokdump/gokdump/capture/plan"
)

// The plan bounds each step; these bound what lies between and beyond.
const (
	// startLimit is how long PID 1 may take until it has read the plan, and a
	// worker until its first sign.
	startLimit = 60 * time.Second
	// finishLimit is how long a capture may take to end a dump in good order
	// after it was told to stop: what the page cache holds must reach the disk.
	finishLimit = 120 * time.Second
	// minFinish is the least of it, where the plan has little patience.
	minFinish = 10 * time.Second
	// goneLimit is how long an operation of a mounted target may take that then
	// fails, before the target is given up for the next one.
	goneLimit = 10 * time.Second
	// logLimit is how long the crashed kernel's log may take to reach the
	// console when there is no target.
	logLimit = 60 * time.Second
	// firmwareLimit is how long it may take to leave that in the firmware.
	firmwareLimit = 20 * time.Second
	// lastLimit is both.
	lastLimit = logLimit + firmwareLimit + killLimit
	// notifyLimit is how long posting the report may take, with all attempts.
	notifyLimit = 90 * time.Second
	// killLimit is waited beyond a deadline before the next harder measure.
	killLimit = 15 * time.Second
)

// whole is the longest that one worker may take: every deadline of the plan, for
// each target, and every limit above.
func whole(p *plan.Plan) time.Duration {
	d := p.Deadlines
	each := d.Device.Duration() + 2*d.Mount.Duration() + d.Capture.Duration() + finishLimit
	if p.Notify != nil {
		each += notifyLimit
	}
	if p.Network != nil {
		each += p.Network.Deadlines.Whole()
	}
	return startLimit + d.Device.Duration() + time.Duration(max(len(p.Targets), 1))*each + lastLimit + 2*killLimit
}

// ending is the longest that the end may take in good order.
func ending(d plan.Deadlines) time.Duration { return 2*d.Reboot.Duration() + killLimit }

// fallbackPlan is for an image whose plan cannot be read: it saves nothing,
// shows the log on the console and restarts.
func fallbackPlan() *plan.Plan {
	return &plan.Plan{
		Version:       plan.Version,
		Host:          "unknown",
		Kernel:        "unknown",
		Dump:          plan.Dump{Codec: "none"},
		Deadlines:     plan.DefaultDeadlines(),
		FailureAction: plan.Reboot,
		FinalAction:   plan.Reboot,
	}
}
