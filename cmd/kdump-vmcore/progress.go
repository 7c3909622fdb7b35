package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/capture"
)

// progress shows how far a step is: one line on a terminal, redrawn once a
// second; nothing elsewhere. It is used by one goroutine at a time.
type progress struct {
	w     io.Writer // nil: show nothing
	now   func() time.Time
	last  time.Time
	step  string
	shown bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{now: time.Now}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		p.w = w
	}
	p.last = p.now()
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// event takes what [capture.Save] tells.
func (p *progress) event(e capture.Event) {
	if p.w == nil || e.Progress == nil {
		return
	}
	if now := p.now(); now.Sub(p.last) >= time.Second {
		p.last, p.step, p.shown = now, e.Step, true
		fmt.Fprintf(p.w, "\r\x1b[K%s", progressLine(e.Step, *e.Progress))
	}
}

// done clears the line.
func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// progressLine is like "write   43%  812.3 MB/s  ETA 12 s".
func progressLine(step string, p capture.Progress) string {
	s := fmt.Sprintf("%-6s", step)
	if p.Total > 0 {
		s += fmt.Sprintf(" %3d%%", min(p.Done*100/p.Total, 100))
	}
	sec := p.Elapsed.Seconds()
	if sec > 0 && p.BytesIn > 0 {
		s += fmt.Sprintf("  %.1f MB/s", float64(p.BytesIn)/1e6/sec)
	}
	if sec >= 1 && p.Done > 0 && p.Done < p.Total {
		left := sec / float64(p.Done) * float64(p.Total-p.Done)
		s += "  ETA " + shortTime(left)
	}
	return s
}

func shortTime(sec float64) string {
	if sec > 99*3600 { // also what float64 makes of nonsense
		return "long"
	}
	d := time.Duration(sec * float64(time.Second)).Round(time.Second)
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

// took is a time that has passed.
func took(sec float64) string {
	if sec < 10 {
		return fmt.Sprintf("%.1f s", sec)
	}
	return shortTime(sec)
}
