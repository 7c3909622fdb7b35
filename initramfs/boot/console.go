package boot

import (
	"io"
	"sync"
	"time"
)

// consoleQueue is how many lines wait for a slow console before the oldest are
// dropped: at 9600 baud, half a minute of them.
const consoleQueue = 256

// Console writes lines to a terminal without ever waiting for it: a serial
// line stopped by Ctrl-S, or a console that nobody drains, must not stop a
// capture. Its methods may be called from several goroutines.
type Console struct {
	w     io.Writer
	wake  chan struct{}
	mu    sync.Mutex
	lines []string
	lost  int
	busy  bool
}

// NewConsole starts writing to w, one Write per line.
func NewConsole(w io.Writer) *Console {
	c := &Console{w: w, wake: make(chan struct{}, 1)}
	go c.run()
	return c
}

// Line queues one line, without its newline. When the queue is full the oldest
// line is lost.
func (c *Console) Line(s string) {
	c.mu.Lock()
	if len(c.lines) == consoleQueue {
		c.lines = append(c.lines[:0], c.lines[1:]...)
		c.lost++
	}
	c.lines = append(c.lines, s)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Flush waits until everything queued is written, at most d. It tells whether
// that happened.
func (c *Console) Flush(d time.Duration) bool {
	for end := time.Now().Add(d); ; time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		idle := len(c.lines) == 0 && !c.busy
		c.mu.Unlock()
		if idle || time.Now().After(end) {
			return idle
		}
	}
}

// run writes until the program ends; errors of a console have nowhere to go.
func (c *Console) run() {
	for range c.wake {
		for {
			c.mu.Lock()
			c.busy = len(c.lines) > 0
			if !c.busy {
				c.mu.Unlock()
				break
			}
			s := c.lines[0]
			c.lines = append(c.lines[:0], c.lines[1:]...)
			lost := c.lost
			c.lost = 0
			c.mu.Unlock()
			if lost > 0 {
				s = "kdump: (console too slow: lines lost)\n" + s
			}
			_ = Guard(func() error {
				_, err := io.WriteString(c.w, s+"\n")
				return err
			})
		}
	}
}
