package boot

import (
	"context"
	"fmt"
	"runtime/debug"
)

// PanicError is a panic turned into an error, since a panic of PID 1 takes the
// kernel down with it and the report with the kernel.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the goroutine, as debug.Stack prints it
}

// Error gives the panic's value; the stack is for the log.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Guard calls f and gives its error, or a [*PanicError] when it panics.
func Guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return f()
}

// StuckError says that a call into the kernel did not come back in time. It is
// still under way.
type StuckError struct {
	What  string // the operation
	Cause error  // why the wait ended: the context's cause
}

// Error names the operation and why the wait ended.
func (e *StuckError) Error() string { return fmt.Sprintf("%s does not return: %v", e.What, e.Cause) }

// Unwrap gives the context's cause.
func (e *StuckError) Unwrap() error { return e.Cause }

// Within calls f in a goroutine, guarded, and waits for it until ctx ends: then
// it gives up with a [*StuckError] and leaves f to itself. f must not touch what
// the caller goes on to use.
func Within(ctx context.Context, what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- Guard(f) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // both at once: the answer counts
		return err
	default:
		return &StuckError{what, context.Cause(ctx)}
	}
}
