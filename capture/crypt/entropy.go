package crypt

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Ready waits until the kernel's random numbers are random, so that keys can be
// made. A kernel that has just started may not have gathered enough; since 5.6 it
// makes the rest itself, from the jitter of its clock, when somebody waits.
// Facts: getrandom(2), drivers/char/random.c.
func Ready(ctx context.Context) error {
	ready := make(chan error, 1)
	go func() { // may be left behind: the call cannot be called off
		var b [1]byte
		for {
			_, err := unix.Getrandom(b[:], 0)
			if !errors.Is(err, unix.EINTR) {
				ready <- err
				return
			}
		}
	}()
	select {
	case err := <-ready:
		if err != nil {
			return fmt.Errorf("random numbers: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the kernel has no random numbers yet: %w", context.Cause(ctx))
	}
}
