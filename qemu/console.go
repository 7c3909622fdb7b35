package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// maxConsole bounds the text that a guest may print, in bytes; a crash and a
// capture print about 100 KiB.
const maxConsole = 32 << 20

// errConsoleFull says that a guest printed more than maxConsole bytes.
var errConsoleFull = fmt.Errorf("the guest printed more than %d MiB", maxConsole>>20)

// consoleLog collects what the guest prints and lets one reader at a time wait
// for a text in it.
type consoleLog struct {
	mu      sync.Mutex
	buf     []byte
	pos     int           // where the next search starts
	changed chan struct{} // closed and renewed by each write
	end     error         // why no more will come; nil while more may
	copies  []io.Writer   // nil where one failed
}

func newConsoleLog(copies ...io.Writer) *consoleLog {
	return &consoleLog{changed: make(chan struct{}), copies: copies}
}

// Write takes text from the guest. It never fails for the sake of a copy: a log
// that cannot be written must not stop a machine.
func (c *consoleLog) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.copies {
		if w == nil {
			continue
		}
		if _, err := w.Write(p); err != nil {
			c.copies[i] = nil
		}
	}
	if len(c.buf)+len(p) > maxConsole {
		return 0, errConsoleFull
	}
	c.buf = append(c.buf, p...)
	close(c.changed)
	c.changed = make(chan struct{})
	return len(p), nil
}

// finish says that no more text will come, and why; the first reason stays.
func (c *consoleLog) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end = err
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// expect waits until re matches behind the last match and returns the matched
// text. It ends with ctx, or with the reason given to finish.
func (c *consoleLog) expect(ctx context.Context, re *regexp.Regexp) (string, error) {
	for {
		c.mu.Lock()
		if m := re.FindIndex(c.buf[c.pos:]); m != nil {
			s := string(c.buf[c.pos+m[0] : c.pos+m[1]])
			c.pos += m[1]
			c.mu.Unlock()
			return s, nil
		}
		end, changed := c.end, c.changed
		c.mu.Unlock()
		if end != nil {
			return "", end
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// text is all that was printed so far.
func (c *consoleLog) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.buf)
}

// tail is the last n lines, without the carriage returns of a serial line.
func (c *consoleLog) tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := bytes.TrimRight(c.buf, "\r\n")
	at := len(b)
	for ; n > 0 && at > 0; n-- {
		at = bytes.LastIndexByte(b[:at], '\n')
		if at < 0 {
			at = 0
		}
	}
	return strings.ReplaceAll(strings.Trim(string(b[at:]), "\n"), "\r", "")
}

// errEnded says that the machine is no more.
var errEnded = errors.New("the machine ended")
