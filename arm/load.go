package arm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gokdump/gokdump/arm/kexec"
)

// Outcome is what is armed after a load that failed.
type Outcome int

// The outcomes of a load that failed.
const (
	// Disarmed: nothing is loaded; a panic now leaves no dump.
	Disarmed Outcome = iota
	// StillArmed: what was loaded before is still loaded.
	StillArmed
	// PutBack: the last good pair is loaded.
	PutBack
)

// LoadError is a load that failed, and what is armed now.
type LoadError struct {
	// Err is why the load failed.
	Err error
	// Outcome is what is armed now.
	Outcome Outcome
	// Pair is what is armed after [PutBack].
	Pair *Record
	// PairErr is why the last good pair could not be put back, after
	// [Disarmed].
	PairErr error
}

// Error gives the failure and the outcome.
func (e *LoadError) Error() string { return e.Err.Error() + "; " + e.State() }

// Unwrap gives the failure.
func (e *LoadError) Unwrap() error { return e.Err }

// State says in a sentence what is armed now.
func (e *LoadError) State() string {
	switch e.Outcome {
	case StillArmed:
		return "what was armed before is still armed"
	case PutBack:
		return fmt.Sprintf("the last good pair is armed again: kernel %s and image %s as they were on %s",
			e.Pair.Kernel.Path, e.Pair.Image.Path, e.Pair.Time.Format("2006-01-02 15:04:05 UTC"))
	}
	return fmt.Sprintf("DISARMED: a panic now leaves no dump (%v)", e.PairErr)
}

// Loaded is a load that worked.
type Loaded struct {
	// Check is what was loaded.
	Check *Check
	// Warnings are sentences for the user, the check's included.
	Warnings []string
}

// Load loads a crash kernel in place of the one that may be loaded, and reads
// the result back. ctx bounds the wait for another load. A failure is a
// [*LoadError], which wraps [ErrNoReservation], a [*Problem] or a
// [*kexec.Error]; if nothing is armed after it, the last good pair has been tried.
func (h *Host) Load(ctx context.Context, opt Options) (*Loaded, error) {
	unlock, err := h.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()

	j, err := h.prepare(ctx, opt)
	if err != nil {
		return nil, h.recover(ctx, err)
	}
	defer j.close()
	memory, _ := h.memory()
	r := &Record{
		Version: recordVersion,
		BootID:  h.bootID(),
		Release: j.Release,
		Kernel:  j.Kernel,
		Image:   j.Image,
		Config:  j.Config,
		Cmdline: j.Cmdline.Text,
		Memory:  memory,
	}
	out := &Loaded{Check: j.Check, Warnings: j.Warnings}
	if err := h.exec(ctx, r, j.kernel, j.image); err != nil {
		return nil, h.recover(ctx, err)
	}
	// From here on the machine is armed: what fails costs a warning only.
	if err := writeRecordFile(h.recordPath(), r, 0o644); err != nil {
		out.Warnings = append(out.Warnings, fmt.Sprintf("armed, but not recorded, so that status will call it unknown: %v", err))
	}
	if err := h.keep(ctx, r, j.kernel, j.image); err != nil {
		out.Warnings = append(out.Warnings, fmt.Sprintf("armed, but not kept as last good pair: %v", err))
	}
	return out, nil
}

// exec makes the call for r and reads back that it worked. The record of what
// was loaded before goes first, since the call throws that away; it comes back
// if the kernel refused before it did.
func (h *Host) exec(ctx context.Context, r *Record, kernel, image *os.File) error {
	before, err := h.readRecord()
	if err != nil {
		before = nil // unreadable: worth nothing
	}
	if err := h.forget(); err != nil {
		return err
	}
	err = kexec.Load(ctx, h.Kexec, h.System(), kexec.Request{Kernel: kernel, Image: image, Cmdline: r.Cmdline})
	loaded, err2 := h.System().CrashLoaded()
	if err != nil {
		if before != nil && err2 == nil && loaded {
			err2 = writeRecordFile(h.recordPath(), before, 0o644)
		}
		return errors.Join(err, err2)
	}
	if err2 != nil {
		return err2
	}
	if !loaded {
		return &Problem{Text: "the kernel took the crash kernel, but says that none is loaded",
			Next: "another program may have unloaded it: try again"}
	}
	r.Time = h.now()
	return nil
}

// recoverWait bounds putting back the last good pair.
const recoverWait = time.Minute

// recover sees what a failed load has left and arms the last good pair if it
// left nothing.
func (h *Host) recover(ctx context.Context, cause error) error {
	e := &LoadError{Err: cause}
	loaded, err := h.System().CrashLoaded()
	switch {
	case err != nil:
		e.PairErr = err
		return e
	case loaded:
		e.Outcome = StillArmed
		return e
	case errors.Is(cause, ErrNoReservation):
		e.PairErr = ErrNoReservation
		return e
	}
	// Neither a signal nor a spent deadline may leave the machine disarmed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recoverWait)
	defer cancel()
	p, err := h.openLastGood(ctx)
	if err != nil {
		e.PairErr = err
		return e
	}
	defer p.close()
	r := *p.Record
	r.BootID = h.bootID()
	r.Memory, _ = h.memory()
	r.PutBack = cause.Error()
	if err := h.exec(ctx, &r, p.kernel, p.image); err != nil {
		e.PairErr = fmt.Errorf("the last good pair does not load either: %w", err)
		return e
	}
	e.Outcome, e.Pair = PutBack, p.Record
	if err := writeRecordFile(h.recordPath(), &r, 0o644); err != nil {
		e.Err = errors.Join(cause, err)
	}
	return e
}

// Unload takes the crash kernel away; no dump will be made then. was tells
// whether one was loaded. With nothing reserved the error is
// [ErrNoReservation].
func (h *Host) Unload(ctx context.Context) (was bool, err error) {
	unlock, err := h.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	if n, err := h.System().Reserved(); err != nil {
		return false, err
	} else if n == 0 {
		return false, &Problem{Text: "nothing to unload", Err: ErrNoReservation, Next: kexec.NextReserve}
	}
	if was, err = h.System().CrashLoaded(); err != nil {
		return false, err
	}
	if err := kexec.Unload(ctx, h.Kexec, h.System()); err != nil {
		return was, err
	}
	loaded, err := h.System().CrashLoaded()
	if err != nil {
		return was, err
	}
	if loaded {
		return was, &Problem{Text: "the kernel unloaded the crash kernel, but says that one is loaded",
			Next: "another program may have loaded one: try again"}
	}
	return was, h.forget()
}
