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
	w     io.Writer
	tty   bool
	start time.Time
}

// New shows steps on f. On a terminal, news overwrite each other.
func New(f *os.File) *Log {
	st, err := f.Stat()
	return &Log{w: f, tty: err == nil && st.Mode()&os.ModeCharDevice != 0, start: time.Now()}
}

// Do shows name, calls f and shows how long it took. What f writes to note is its
// news: the last line is shown every two seconds. The error is f's, with the name in
// front.
func (l *Log) Do(name string, f func(note io.Writer) error) error {
	fmt.Fprintf(l.w, "==> %s\n", name)
	begun := time.Now()
	n := &news{}
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
	if l.tty {
		fmt.Fprintf(l.w, "\r%*s\r", width, "")
	}
	if err != nil {
		fmt.Fprintf(l.w, "    failed after %.1f s\n", time.Since(begun).Seconds())
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(l.w, "    done in %.1f s\n", time.Since(begun).Seconds())
	return nil
}

// Elapsed is the time since New.
func (l *Log) Elapsed() time.Duration { return time.Since(l.start) }

func (l *Log) show(d time.Duration, text string) {
	line := fmt.Sprintf("    %3.0f s  %s", d.Seconds(), text)
	if r := []rune(line); len(r) > width {
		line = string(r[:width])
	}
	if l.tty {
		fmt.Fprintf(l.w, "\r%-*s", width, line)
		return
	}
	fmt.Fprintln(l.w, line)
}

// news keeps the last whole line written to it.
type news struct {
	mu   sync.Mutex
	part string // a line that has no end yet
	line string
}

func (n *news) Write(p []byte) (int, error) {
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

func (n *news) last() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.line
}
