package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
)

func TestProgressLine(t *testing.T) {
	for _, tt := range []struct {
		p    capture.Progress
		want string
	}{
		{capture.Progress{}, "write "},
		{capture.Progress{Done: 1, Total: 4, BytesIn: 50e6, Elapsed: 500 * time.Millisecond}, "write   25%  100.0 MB/s"},
		{capture.Progress{Done: 1, Total: 4, BytesIn: 50e6, Elapsed: 10 * time.Second}, "write   25%  5.0 MB/s  ETA 30 s"},
		{capture.Progress{Done: 1, Total: 1000, Elapsed: 10 * time.Second}, "write    0%  ETA 2 h 46 min"},
		{capture.Progress{Done: 1, Total: 20, Elapsed: 10 * time.Second}, "write    5%  ETA 3 min 10 s"},
		{capture.Progress{Done: 1, Total: 1 << 60, Elapsed: 10 * time.Second}, "write    0%  ETA long"},
		{capture.Progress{Done: 9, Total: 4, Elapsed: 10 * time.Second}, "write  100%"},
	} {
		if got := progressLine("write", tt.p); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.p, got, tt.want)
		}
	}
}

func TestProgressOncePerSecond(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := &progress{w: &out, now: func() time.Time { return now }, last: now}
	for range 50 {
		now = now.Add(100 * time.Millisecond)
		p.event(capture.Event{Step: "filter", Progress: &capture.Progress{Done: 1, Total: 2}})
		p.event(capture.Event{Step: "filter", Message: "no progress"})
	}
	if n := strings.Count(out.String(), "filter"); n != 5 {
		t.Errorf("%d lines in 5 seconds", n)
	}
	p.done()
	if !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("the line stays: %q", out.String())
	}
	if p := newProgress(&out); p.w != nil {
		t.Error("shown where there is no terminal")
	}
}
