package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture"
)

// progressEvery is the time between two lines of progress.
const progressEvery = 2 * time.Second

// A meter turns a capture's progress into lines for a person. It is for one
// goroutine.
type meter struct {
	now    func() time.Time
	shown  time.Time        // when the last line was made
	last   capture.Progress // that was shown
	step   string
	tenths uint64 // of the step that were told
}

// line gives the text for p, and whether it marks another tenth of the step,
// which is for the log too; "" when it is too early for a line.
func (m *meter) line(step string, p capture.Progress) (text string, mark bool) {
	now := m.now()
	if step != m.step {
		m.step, m.last, m.tenths = step, capture.Progress{}, 0
	}
	end := p.Done >= p.Total && p.Total > 0 && m.last.Done < p.Total
	if !end && now.Sub(m.shown) < progressEvery {
		return "", false
	}
	if p.Total > 0 {
		if tenths := min(p.Done, p.Total) * 10 / p.Total; tenths > m.tenths {
			m.tenths, mark = tenths, true
		}
	}
	text = m.format(step, p)
	m.shown, m.last = now, p
	return text, mark
}

func (m *meter) format(step string, p capture.Progress) string {
	var b strings.Builder
	b.WriteString(step)
	if p.Total > 0 {
		fmt.Fprintf(&b, " %d %%", percent(p.Done, p.Total))
	}
	if p.BytesIn > 0 {
		fmt.Fprintf(&b, ", %d MiB read", p.BytesIn>>20)
	}
	if p.BytesOut > 0 {
		fmt.Fprintf(&b, ", %d MiB written", p.BytesOut>>20)
	}
	// The rate is that of the time since the last line; the estimate takes
	// the whole step, since it should not jump.
	if dt := (p.Elapsed - m.last.Elapsed).Seconds(); dt > 0 && p.BytesIn > m.last.BytesIn {
		fmt.Fprintf(&b, ", %.0f MB/s", float64(p.BytesIn-m.last.BytesIn)/dt/1e6)
	}
	if p.Done > 0 && p.Done < p.Total && p.Elapsed > 0 {
		left := time.Duration(float64(p.Elapsed) / float64(p.Done) * float64(p.Total-p.Done))
		fmt.Fprintf(&b, ", ETA %v", max(left.Round(time.Second), time.Second))
	}
	return b.String()
}

// percent rounds down, so that 100 means all. Page counts stay below 2^52, so
// nothing overflows.
func percent(done, total uint64) uint64 { return min(done, total) * 100 / total }
