package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// tailLines is how much of the console an error shows.
const tailLines = 25

// killGrace is how long a killed QEMU may take to go. One that is stuck inside
// the kernel's KVM never goes; it must not take the test with it.
const killGrace = 5 * time.Second

// VM is a running virtual machine. Expect and Send are for one goroutine at a
// time; Close may be called from any, and more than once.
type VM struct {
	opts    Opts
	ctx     context.Context // the machine's life
	console *consoleLog
	stdin   io.WriteCloser
	stderr  *consoleLog
	cancel  context.CancelFunc
	proc    *os.Process
	done    chan struct{} // closed when the process is gone
	err     error         // how it ended; valid after done
	once    sync.Once
}

// Start boots the machine that o describes. The machine ends with ctx, with
// o.Timeout or with Close, whichever comes first; the caller must call Close.
// The error says when QEMU is not installed.
func Start(ctx context.Context, o Opts) (*VM, error) {
	args, err := o.Args()
	if err != nil {
		return nil, err
	}
	program, err := lookTool(or(firstOf(o.Emulator), Program))
	if err != nil {
		return nil, err
	}
	if len(o.Emulator) > 1 {
		args = slices.Concat(o.Emulator[1:], args)
	}
	var logFile *os.File
	copies := []io.Writer{o.Tee}
	if o.Log != "" {
		if logFile, err = os.Create(o.Log); err != nil {
			return nil, fmt.Errorf("qemu: console log: %w", err)
		}
		copies = append(copies, logFile)
	}

	limit := or(o.Timeout, DefaultTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("deadline of %v passed", limit))
	v := &VM{opts: o, ctx: ctx, console: newConsoleLog(copies...), stderr: newConsoleLog(), cancel: cancel, done: make(chan struct{})}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = v.console, v.stderr
	// A group of its own: a terminal's interrupt must not race our own end, and
	// the machine goes when we are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killGrace
	if v.stdin, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		if logFile != nil {
			logFile.Close()
		}
		return nil, fmt.Errorf("qemu: start %s: %w", program, err)
	}
	v.proc = cmd.Process
	// A killed QEMU that does not go must not keep a reader waiting.
	context.AfterFunc(ctx, func() { v.console.finish(errors.Join(errEnded, context.Cause(ctx))) })
	go func() {
		err := cmd.Wait()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		v.err = err
		v.console.finish(errors.Join(errEnded, err))
		cancel()
		if logFile != nil {
			logFile.Close()
		}
		close(v.done)
	}()
	return v, nil
}

func firstOf(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}

// Expect waits until the console shows text, searching on from behind the last
// match. The error holds the console's last lines and what QEMU itself said.
func (v *VM) Expect(ctx context.Context, text string) error {
	_, err := v.ExpectMatch(ctx, regexp.MustCompile(regexp.QuoteMeta(text)))
	return err
}

// ExpectMatch is [VM.Expect] for a regular expression; it returns the match.
func (v *VM) ExpectMatch(ctx context.Context, re *regexp.Regexp) (string, error) {
	s, err := v.console.expect(ctx, re)
	if err != nil {
		return "", v.explain(fmt.Errorf("waiting for %q: %w", re, err))
	}
	return s, nil
}

// Send types text on the guest's console.
func (v *VM) Send(text string) error {
	if _, err := io.WriteString(v.stdin, text); err != nil {
		return v.explain(fmt.Errorf("typing %q: %w", text, err))
	}
	return nil
}

// Wait waits until the machine ends by itself: by powering off or, without
// Opts.Reboot, by a reset. Any other end is an error.
func (v *VM) Wait(ctx context.Context) error {
	select {
	case <-v.done:
	case <-ctx.Done():
		return v.explain(fmt.Errorf("waiting for the machine's end: %w", context.Cause(ctx)))
	case <-v.ctx.Done():
		select {
		case <-v.done:
		case <-time.After(killGrace):
			return v.explain(fmt.Errorf("%w, and process %d does not die", context.Cause(v.ctx), v.proc.Pid))
		}
	}
	if v.err != nil {
		return v.explain(v.err)
	}
	return nil
}

// Done is closed when the machine has ended.
func (v *VM) Done() <-chan struct{} { return v.done }

// Console is all that the guest printed so far.
func (v *VM) Console() string { return v.console.text() }

// Close kills the machine if it still runs and frees what it held. It waits a
// few seconds at most, and reports a QEMU that cannot be killed.
func (v *VM) Close() error {
	v.once.Do(func() {
		v.cancel()
		v.stdin.Close()
	})
	select {
	case <-v.done:
		return nil
	case <-time.After(2 * killGrace):
		return fmt.Errorf("qemu: process %d does not die; it is stuck in the kernel", v.proc.Pid)
	}
}

// explain adds what a person needs to see why.
func (v *VM) explain(err error) error {
	var b bytes.Buffer
	if s := v.stderr.tail(5); s != "" {
		fmt.Fprintf(&b, "\nqemu said:\n%s", s)
	}
	fmt.Fprintf(&b, "\nlast lines of the console:\n%s", v.console.tail(tailLines))
	if v.opts.Log != "" {
		fmt.Fprintf(&b, "\nwhole console: %s", v.opts.Log)
	}
	return fmt.Errorf("qemu: %w%s", err, b.String())
}
