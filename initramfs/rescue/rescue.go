// Package rescue is kdump-init's console for a person in front of a capture
// that failed: look at what happened, mount, try again, or end it. There is no
// shell and no program in the crash image, so its few commands are built in.
//
// It owns the dialogue: lines in, commands, text out. It never waits for ever:
// when nobody types anything it ends, a command that hangs is left behind, and
// output is bounded. It never changes the machine but through [Machine]. The
// terminal's own line discipline does echo and line editing, so it serves any
// console that the kernel has.
package rescue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// DefaultIdle is how long nobody may type anything before the machine reboots.
const DefaultIdle = 10 * time.Minute

// lastWarning is how long before that the console says so.
const lastWarning = time.Minute

// Choice is how a dialogue ended.
type Choice string

// The ends of a dialogue. Reboot is also the end when nobody types anything.
const (
	Reboot   Choice = "reboot"
	Poweroff Choice = "poweroff"
	Halt     Choice = "halt"
	Retry    Choice = "retry" // do the capture again, on what is mounted
)

// Machine is what the commands act on. Every function must be set.
type Machine struct {
	// Status says what happened and how the machine is, in a few lines.
	Status func() string
	// Log gives the log of this capture.
	Log func() []byte
	// Mount mounts a device, with "" the plan's target; it gives where.
	Mount func(device, fstype string) (dir string, err error)
	// Unmount undoes Mount.
	Unmount func() error
	// Alive says that a person is there and that nothing more may be heard
	// for d: whoever guards the machine must not end it before.
	Alive func(d time.Duration)
}

// Console is a dialogue on a terminal. [New] makes one for a terminal's whole
// life: it may be run again after a retry.
type Console struct {
	out     io.Writer
	machine Machine
	idle    time.Duration
	lines   <-chan string
	root    string // for tests: where /proc/... is
}

// Machine gives the commands another machine to act on, before the next Run.
func (c *Console) Machine(m Machine) { c.machine = m }

// New makes a dialogue that reads lines from in, in a goroutine that ends with
// in, and writes to out. idle is how long nobody may type anything; 0 means
// [DefaultIdle].
func New(in io.Reader, out io.Writer, m Machine, idle time.Duration) *Console {
	if idle <= 0 {
		idle = DefaultIdle
	}
	return &Console{out: out, machine: m, idle: idle, lines: readLines(in)}
}

// Run talks until a command ends it, nobody typed anything for the idle time,
// the terminal is gone, or ctx ends; the last three mean [Reboot].
func (c *Console) Run(ctx context.Context) Choice {
	c.printf("\nThis is the rescue console of kdump-init. Commands: %s.\n", strings.Join(names(), " "))
	c.printf("If nobody types anything for %v, the machine reboots.\n", c.idle)
	for {
		c.printf("kdump> ")
		line, err := c.line(ctx)
		if err != nil {
			c.printf("\nrebooting: %v\n", err)
			return Reboot
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" {
			continue
		}
		switch choice := Choice(word); choice {
		case Reboot, Poweroff, Halt, Retry:
			return choice
		}
		c.do(ctx, word, strings.Fields(rest))
	}
}

// line waits for one line.
func (c *Console) line(ctx context.Context) (string, error) {
	c.machine.Alive(c.idle)
	left := c.idle
	if left > 2*lastWarning {
		left -= lastWarning
	}
	for first := true; ; first = false {
		timer := time.NewTimer(left)
		select {
		case s, ok := <-c.lines:
			timer.Stop()
			if !ok {
				return "", errors.New("the console cannot be read any more")
			}
			return s, nil
		case <-ctx.Done():
			timer.Stop()
			return "", context.Cause(ctx)
		case <-timer.C:
		}
		if left = c.idle - left; !first || left <= 0 {
			return "", fmt.Errorf("nobody typed anything for %v", c.idle)
		}
		c.printf("\nrebooting in %v unless somebody types something\n", left)
	}
}

func (c *Console) printf(format string, a ...any) {
	// A terminal that takes no text is noticed by its silence.
	_, _ = fmt.Fprintf(c.out, format, a...)
}
