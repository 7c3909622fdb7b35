package boot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
)

// Times of a wait for a device.
const (
	pollEvery = 100 * time.Millisecond
	tellEvery = 5 * time.Second
)

// FindFunc looks once for a device, as [blkid.Finder.Find] does.
type FindFunc func(context.Context, plan.Device) (string, []blkid.Seen, error)

// Waiter waits for a block device.
type Waiter struct {
	// Find looks once; mostly [blkid.Finder.Find].
	Find FindFunc
	// Log is told every few seconds what is awaited and what is there; may be nil.
	Log *Log
	// Poll and Tell are the times between looks and between messages; 0 means
	// 100 ms and 5 s.
	Poll, Tell time.Duration
}

// Wait looks for d until it is there or ctx ends. It gives the device's path.
// The error says what was awaited and names every device that is there. That
// several devices fit is an error at once: waiting cannot make it better.
func (w *Waiter) Wait(ctx context.Context, d plan.Device) (string, error) {
	poll, tell := w.Poll, w.Tell
	if poll == 0 {
		poll = pollEvery
	}
	if tell == 0 {
		tell = tellEvery
	}
	start := time.Now()
	told := start
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		path, seen, err := w.look(ctx, d)
		switch {
		case err == nil:
			w.debugf("%s is %s after %v", d, path, time.Since(start).Round(time.Millisecond))
			return path, nil
		case errors.Is(err, blkid.ErrAmbiguous):
			return "", fmt.Errorf("%w; there are: %s", err, blkid.Describe(seen))
		}
		if ctx.Err() == nil {
			if time.Since(told) >= tell && w.Log != nil {
				told = time.Now()
				w.Log.Infof("waiting for %s since %v; there are: %s", d, time.Since(start).Round(time.Second), blkid.Describe(seen))
			}
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
			}
		}
		var part *blkid.Pending
		switch {
		case errors.As(err, &part):
			err = fmt.Errorf("%w: %w", blkid.ErrNotFound, part)
		case !errors.Is(err, blkid.ErrNotFound) && !errors.Is(err, ctx.Err()):
			err = fmt.Errorf("%w: %w", blkid.ErrNotFound, err) // sysfs itself
		default:
			err = blkid.ErrNotFound
		}
		return "", fmt.Errorf("waited %v for %s: %w; there are: %s",
			time.Since(start).Round(time.Millisecond), d, err, blkid.Describe(seen))
	}
}

// lookLate is how long a look may go on when its time is over: it ends with its
// context unless a disk does not answer.
const lookLate = time.Second

// look looks once, in a goroutine of its own: putting an array together reads and
// writes disks, and a broken one may never answer.
func (w *Waiter) look(ctx context.Context, d plan.Device) (path string, seen []blkid.Seen, err error) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lookLate, cancel) })()
	got := make(chan func(), 1)
	err = Within(late, "look for devices", func() error {
		p, s, e := w.Find(ctx, d)
		got <- func() { path, seen, err = p, s, e }
		return nil
	})
	if err == nil {
		(<-got)()
	}
	return path, seen, err
}

func (w *Waiter) debugf(format string, a ...any) {
	if w.Log != nil {
		w.Log.Debugf(format, a...)
	}
}
