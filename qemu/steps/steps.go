// Package steps shows a person what a long command is doing: a line for each step,
// and while one takes long, what it is at and for how long.
//
// It owns that display and nothing else; it never decides whether to go on.
package steps

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// every is how often a step that takes long is heard of.
const every = 2 * time.Second

// width is what a line of news on a terminal is cut to.
const width = 78

// Log shows steps on a file.
type Log struct {
	mu    sync.Mutex // one line at a time
	w     io.Writer
	tty   bool
	start time.Time
}

// New shows steps on f. On a terminal, news overwrite each other.
func New(f *os.File) *Log {
	st, err := f.Stat()
	return &Log{w: f, tty: err == nil && st.Mode()&os.ModeCharDevice != 0, start: time.Now()}
}

// Do shows name, calls f and shows how long it took. What f writes to its step is
// news: the last line is shown every two seconds. The error is f's, with the name in
// front.
func (l *Log) Do(name string, f func(s *Step) error) error {
	fmt.Fprintf(l.w, "==> %s\n", name)
	begun := time.Now()
	n := &Step{log: l}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.show(time.Since(begun), n.last())
			case <-quit:
				return
			}
		}
	}()
	err := f(n)
	close(quit)
	<-gone
	if err != nil {
		l.line(fmt.Sprintf("failed after %.1f s", time.Since(begun).Seconds()))
		return fmt.Errorf("%s: %w", name, err)
	}
	l.line(fmt.Sprintf("done in %.1f s", time.Since(begun).Seconds()))
	return nil
}

// line shows a line that stays.
func (l *Log) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tty {
		fmt.Fprintf(l.w, "\r%*s\r", width, "")
	}
	fmt.Fprintf(l.w, "    %s\n", text)
}

// Elapsed is the time since New.
func (l *Log) Elapsed() time.Duration { return time.Since(l.start) }

func (l *Log) show(d time.Duration, text string) {
	line := fmt.Sprintf("    %3.0f s  %s", d.Seconds(), text)
	if r := []rune(line); len(r) > width {
		line = string(r[:width])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tty {
		fmt.Fprintf(l.w, "\r%-*s", width, line)
		return
	}
	fmt.Fprintln(l.w, line)
}

// Step is a step under way. It may be used from several goroutines.
type Step struct {
	log  *Log
	mu   sync.Mutex
	part string // a line that has no end yet
	line string
}

// Say shows a line that stays.
func (n *Step) Say(format string, a ...any) { n.log.line(fmt.Sprintf(format, a...)) }

// Write takes news; the last whole line counts. It never fails.
func (n *Step) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	// A line is cut where it grows without end.
	text := n.part + string(p)
	lines := strings.Split(text, "\n")
	n.part = lines[len(lines)-1]
	if len(n.part) > 4096 {
		n.part = ""
	}
	for _, line := range lines[:len(lines)-1] {
		if s := strings.TrimSpace(line); s != "" {
			n.line = s
		}
	}
	return len(p), nil
}

func (n *Step) last() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.line
}
