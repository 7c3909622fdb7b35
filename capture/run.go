package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// run is one capture under way.
type run struct {
	cfg  Config
	now  func() time.Time
	rep  *Report
	step string

	eventMu sync.Mutex

	src    vmcore.Source
	info   *kernel.Info
	dir    target.Target // nil without a target
	secret target.Target // the same, for the log and the dump
	held   []*heldFile   // files whose room is held until the end
	past   target.Past   // nil where the target cannot list what it holds
	dumps  []past.Dump   // that were there before
}

func newRun(cfg Config) *run {
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	r := &run{cfg: cfg, now: now, rep: &Report{
		Version:  ReportVersion,
		Result:   Failed,
		Host:     cfg.Plan.Host,
		Level:    cfg.Plan.Dump.Level,
		Codec:    cfg.Plan.Dump.Codec,
		Started:  now().UTC(),
		Warnings: slices.Clone(cfg.Warnings),
	}}
	r.rep.CrashTime = r.rep.Started
	if cfg.Target != nil {
		if r.rep.Target = cfg.TargetName; r.rep.Target == "" {
			r.rep.Target = cfg.Target.String()
		}
	}
	return r
}

func (r *run) do(ctx context.Context) (*Report, error) {
	opened := r.try("open core", func() error { return r.openCore() })
	if r.src != nil {
		defer r.src.Close()
	}
	if r.cfg.Target != nil {
		if r.try("make directory", r.makeDir) && r.cfg.Encrypt != nil {
			r.try("encrypt", r.encrypt)
		}
	}
	// The log comes before anything that can fail for reasons of its own.
	if opened {
		r.try("save log", r.saveLog)
	}
	if r.dir != nil {
		r.try("hold room", func() error { r.hold(); return nil })
		if opened && r.secret != nil && !r.loop() {
			r.try("save dump", func() error { return r.saveDump(ctx) })
		}
		if r.cfg.Keep.Any() {
			r.try("remove old dumps", func() error { r.prune(ctx); return nil })
		}
	}
	if err := protect(func() error { r.finish(); return nil }); err != nil {
		r.rep.fail(r.step, err)
		r.say("failed: %v", err)
	}
	if r.rep.Result == Failed && r.rep.Error == "" {
		r.rep.fail("save dump", errors.New("there is no target, so the dump was not saved"))
	}
	if r.rep.Error != "" {
		return r.rep, fmt.Errorf("%s: %s", r.rep.FailedStep, r.rep.Error)
	}
	return r.rep, nil
}

// try does one step, times it and notes how it ended. A panic in it is an error
// of that step: the next one, and the reboot, must still come.
func (r *run) try(name string, do func() error) (ok bool) {
	r.step = name
	start := r.now()
	err := protect(do)
	s := Step{Name: name, Seconds: r.now().Sub(start).Seconds()}
	if err != nil {
		s.Error = err.Error()
		r.rep.fail(name, err)
		r.say("failed: %v", err)
	}
	r.rep.Steps = append(r.rep.Steps, s)
	return err == nil
}

func protect(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// say tells whoever watches one line.
func (r *run) say(format string, a ...any) {
	r.tell(Event{Step: r.step, Message: fmt.Sprintf(format, a...)})
}

func (r *run) tell(e Event) {
	if r.cfg.Event == nil {
		return
	}
	r.eventMu.Lock()
	defer r.eventMu.Unlock()
	r.cfg.Event(e)
}

// openCore opens the core and reads what the crashed kernel says of itself. A
// kernel that says nothing is no error here: its memory is still saved.
func (r *run) openCore() error {
	src, err := vmcore.OpenPath(r.cfg.Core)
	if err != nil {
		return err
	}
	r.src = src
	r.rep.PageSize = src.PageSize()
	info, err := kernel.ParseInfo(src.VMCoreInfo())
	if err != nil {
		r.warn("the core does not describe its kernel, so nothing is filtered and there is no log: %v", err)
		return nil
	}
	r.info = info
	r.rep.Kernel, r.rep.BuildID = info.Release, info.BuildID
	if info.CrashTime > 0 {
		r.rep.CrashTime = time.Unix(info.CrashTime, 0).UTC()
	}
	for _, m := range info.Malformed {
		r.warn("VMCOREINFO: %s", m)
	}
	return nil
}

func (r *run) warn(format string, a ...any) {
	w := fmt.Sprintf(format, a...)
	if slices.Contains(r.rep.Warnings, w) { // of the step before
		return
	}
	r.rep.Warnings = append(r.rep.Warnings, w)
	r.say("warning: %s", w)
}

// makeDir makes the crash's own directory. Two captures of the same second (a
// retry from the rescue console, a clock that stands) get names of their own.
func (r *run) makeDir() error {
	r.look()
	base, first, wrong := past.Name(r.rep.Host, r.rep.CrashTime, r.dumps)
	if wrong != "" {
		r.warn("%s", wrong)
	}
	for i := range 100 {
		name := past.Numbered(base, first+i)
		dir, err := r.cfg.Target.Sub(name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		r.dir, r.rep.Dir = dir, name
		if r.cfg.Encrypt == nil {
			r.secret = dir
		}
		return nil
	}
	return fmt.Errorf("%s: 100 directories of that name are there already", base)
}

// encrypt prepares the place for what is secret.
func (r *run) encrypt() error {
	secret, err := r.cfg.Encrypt(r.dir)
	if err != nil {
		return fmt.Errorf("neither log nor dump is saved, since they cannot be encrypted: %w", err)
	}
	r.secret, r.rep.Encrypted = secret, true
	return nil
}

// secretName is the name of a file in r.secret.
func (r *run) secretName(name string) string {
	if r.rep.Encrypted {
		return name + EncryptedSuffix
	}
	return name
}

// wrote notes a file that was committed. An encrypted one is larger than its text.
func (r *run) wrote(f target.File) File {
	w := File{Name: f.Name(), Bytes: f.Size()}
	if s, ok := f.(interface{ Stored() int64 }); ok {
		w.Bytes = s.Stored()
	}
	r.rep.Files = append(r.rep.Files, w)
	return w
}
