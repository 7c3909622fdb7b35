package target

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// gone remembers that what holds a target does not answer any more: each operation
// on a server that died, or on a disk that hangs, takes until its own deadline, and
// ending a dump in good order takes dozens of them.
type gone struct {
	after time.Duration // 0: never

	mu   sync.Mutex
	why  error
	kept []*os.File // closing them would wait as well
}

// do does one operation, or fails at once when one before it took too long and failed.
func (g *gone) do(op func() error) error {
	if g == nil || g.after == 0 {
		return op()
	}
	if err := g.err(); err != nil {
		return err
	}
	start := time.Now()
	err := op()
	if took := time.Since(start); err != nil && took >= g.after && !full(err) {
		g.mu.Lock()
		if g.why == nil {
			g.why = fmt.Errorf("%w (after %v: the target is given up)", err, took.Round(time.Second))
		}
		g.mu.Unlock()
	}
	return err
}

// err is why the target is given up; nil while it is not.
func (g *gone) err() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

// keep holds a file open for ever, and tells whether it did: a target that is given up
// is not waited for to close it.
func (g *gone) keep(f *os.File) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why == nil {
		return false
	}
	g.kept = append(g.kept, f)
	return true
}

// full tells whether an error is for want of room, of a target that answers.
func full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}
