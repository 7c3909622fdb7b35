package capture

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/target"
)

// look finds out what earlier captures left. Nothing of it is worth losing this one.
func (r *run) look() {
	err := errors.ErrUnsupported
	if t, ok := r.cfg.Target.(target.Past); ok {
		r.past = t
		r.dumps, err = past.List(t, r.rep.Host)
	}
	switch {
	case err == nil:
	case !errors.Is(err, errors.ErrUnsupported):
		r.warn("earlier dumps: %v", err)
	default:
		r.past = nil
		if r.cfg.Guard.Dumps > 0 {
			r.say("this kind of target cannot list earlier dumps, so it knows no crash loops")
		}
	}
}

// loop tells whether only the log is to be saved.
func (r *run) loop() bool {
	guard := r.cfg.Guard
	if n := r.cfg.Keep.Dumps; n > 0 {
		guard.Dumps = min(guard.Dumps, n) // no more are there to be counted
	}
	var why string
	if err := protect(func() error {
		why = guard.Loop(past.Crash{
			Time:   r.rep.CrashTime,
			Uptime: time.Duration(r.rep.Uptime * float64(time.Second)),
		}, r.dumps)
		return nil
	}); err != nil {
		r.warn("the rule against crash loops: %v", err)
	}
	if why == "" {
		return false
	}
	saved := slices.ContainsFunc(r.rep.Files, func(f File) bool { return f.Name == r.secretName(LogName) })
	if !saved {
		r.say("%s; but the log could not be saved, so the dump is", why)
		return false
	}
	r.rep.Result, r.rep.Loop = LogOnly, why
	r.say("crash loop: %s", why)
	return true
}

// prune removes old dumps when this one is whole, which it is whatever comes of that:
// an error is a warning.
func (r *run) prune(ctx context.Context) {
	if r.past == nil {
		r.warn("old dumps are not removed: this kind of target cannot list them")
		return
	}
	if r.rep.Result != Complete {
		return // the old ones may be all there is
	}
	// The new one has no report yet; that it is whole is known here.
	stay := past.Dump{Dir: r.rep.Dir, Reported: true, Saved: true, Good: true}
	done, err := past.Prune(ctx, r.past, append(slices.Clone(r.dumps), stay), r.cfg.Keep)
	for _, name := range done.Removed {
		r.say("removed %s", name)
	}
	for _, n := range done.Notes {
		r.warn("old dumps: %s", n)
	}
	r.rep.Removed = done.Removed
	if err != nil {
		r.warn("old dumps: %v", err)
	}
}
