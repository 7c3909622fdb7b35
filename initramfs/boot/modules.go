package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"golang.org/x/sys/unix"
)

// moduleTime is how long one module may take to start before the next one is
// tried beside it. A driver's probe takes seconds at worst.
const moduleTime = 15 * time.Second

// Loader loads kernel modules. The zero value uses finit_module(2), so that
// policies which want to know the file a module comes from are served.
type Loader struct {
	// Log may be nil.
	Log *Log
	// Finit loads one open file; for tests.
	Finit func(f *os.File, params string) error
	// Patience is how long one module may take; 0 means 15 s.
	Patience time.Duration
}

// Load loads modules in order. A module that is there already is no error;
// others that fail are reported, each with its name, and the rest is still
// loaded: whether they were needed shows when the device is waited for. A
// module that does not return keeps its goroutine while the next ones are
// tried. It ends early, with an error, when ctx ends.
func (l *Loader) Load(ctx context.Context, modules []plan.Module) error {
	var errs []error
	for i, m := range modules {
		if ctx.Err() != nil {
			return errors.Join(append(errs, fmt.Errorf("%d of %d modules not loaded: %w", len(modules)-i, len(modules), context.Cause(ctx)))...)
		}
		start := time.Now()
		err := l.one(ctx, m)
		took := time.Since(start).Round(time.Millisecond)
		switch {
		case err == nil:
			l.debugf("module %s loaded in %v", m.Name, took)
		case errors.Is(err, unix.EEXIST):
			l.debugf("module %s is there already", m.Name)
		default:
			errs = append(errs, fmt.Errorf("load module %s: %w%s", m.Name, err, moduleHint(err)))
		}
	}
	return errors.Join(errs...)
}

func (l *Loader) one(ctx context.Context, m plan.Module) error {
	patience := l.Patience
	if patience == 0 {
		patience = moduleTime
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	finit := l.Finit
	if finit == nil {
		finit = finitModule
	}
	return Within(ctx, "finit_module", func() error {
		f, err := os.Open(m.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		return finit(f, m.Params)
	})
}

// finitModule tells errors apart by errno, which it names by number too: the
// texts say little of modules.
func finitModule(f *os.File, params string) error {
	err := unix.FinitModule(int(f.Fd()), params, 0)
	runtime.KeepAlive(f)
	var errno unix.Errno
	if errors.As(err, &errno) {
		return fmt.Errorf("finit_module %s: errno %d (%s): %w", f.Name(), int(errno), unix.ErrnoName(errno), err)
	}
	return err
}

// moduleHint says what an error of finit_module(2) mostly means.
func moduleHint(err error) string {
	for _, h := range []struct {
		errno unix.Errno
		hint  string
	}{
		{unix.ENODEV, " (its device is not in this machine)"},
		{unix.ENOENT, " (a symbol or the file is missing: is a module that it needs in the image, and before it?)"},
		{unix.ENOEXEC, " (made for another kernel: build the image anew)"},
		{unix.EINVAL, " (bad parameter, or made for another kernel)"},
		{unix.EKEYREJECTED, " (its signature is not accepted)"},
		{unix.EPERM, " (the kernel refuses modules)"},
		{unix.ENOMEM, " (out of memory: reserve more with crashkernel=)"},
	} {
		if errors.Is(err, h.errno) {
			return h.hint
		}
	}
	return ""
}

func (l *Loader) debugf(format string, a ...any) {
	if l.Log != nil {
		l.Log.Debugf(format, a...)
	}
}
