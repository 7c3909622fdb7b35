package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
)

func TestSigns(t *testing.T) {
	var b bytes.Buffer
	s := signer{w: &b}
	s.alive(0, "mount", 90*time.Second)
	s.alive(0, "mount", 90*time.Second) // too soon to say it again
	s.alive(0, "capture", 500*time.Millisecond)
	b.WriteString("noise\n")
	s.verdict(failed("capture", errTest))
	var got []sign
	for x := range readSigns(&b) {
		got = append(got, x)
	}
	if len(got) != 3 || got[0] != (sign{Step: "mount", Within: 91}) || got[1] != (sign{Step: "capture", Within: 1}) ||
		got[2].Verdict == nil || *got[2].Verdict != failed("capture", errTest) {
		t.Errorf("got %+v", got)
	}
}

func TestLongErrorStaysASign(t *testing.T) {
	var b bytes.Buffer
	s := signer{w: &b}
	s.verdict(verdict{Result: capture.Failed, Error: strings.Repeat("/dev/sda: 1.0 GiB, swap; ", 10000)})
	x, ok := <-readSigns(&b)
	if !ok || x.Verdict == nil || len(x.Verdict.Error) > maxError+3 {
		t.Errorf("got %v, %.100v", ok, x)
	}
}

func TestVerdictString(t *testing.T) {
	for _, tt := range []struct {
		v    verdict
		want string
	}{
		{verdict{Result: capture.Complete, Dir: "d", Target: "/mnt/c"}, "the dump is complete, in /mnt/c/d"},
		{verdict{Result: capture.Partial, Step: "write", Error: "full", Dir: "d", Target: "/mnt/c"}, `partial at step "write": full (what was saved is in /mnt/c/d)`},
		{failed("mount target", errTest), `failed at step "mount target": broken on purpose`},
	} {
		if got := tt.v.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func FuzzReadSigns(f *testing.F) {
	f.Add(`{"step":"x","within":1}` + "\n" + `{"verdict":{"result":"complete"}}`)
	f.Add(strings.Repeat("{", 70000))
	f.Fuzz(func(t *testing.T, in string) {
		n := 0
		for range readSigns(strings.NewReader(in)) {
			n++
		}
		if n > strings.Count(in, "\n")+1 {
			t.Fatalf("%d signs in %q", n, in)
		}
	})
}

func TestMeter(t *testing.T) {
	now := time.Unix(1000, 0)
	m := &meter{now: func() time.Time { return now }}
	type row struct {
		after time.Duration
		step  string
		p     capture.Progress
		want  string
		mark  bool
	}
	const mib = 1 << 20
	for i, r := range []row{
		{0, "write", capture.Progress{Done: 1, Total: 1000, BytesIn: 4096, Elapsed: time.Second}, "write 0 %, 0 MiB read, 0 MB/s, ETA 16m39s", false},
		{time.Second, "write", capture.Progress{Done: 200, Total: 1000, BytesIn: 100 * mib, Elapsed: 2 * time.Second}, "", false},
		{time.Second, "write", capture.Progress{Done: 250, Total: 1000, BytesIn: 200 * mib, BytesOut: 50 * mib, Elapsed: 3 * time.Second},
			"write 25 %, 200 MiB read, 50 MiB written, 105 MB/s, ETA 9s", true},
		{2 * time.Second, "write", capture.Progress{Done: 290, Total: 1000, BytesIn: 200 * mib, BytesOut: 50 * mib, Elapsed: 5 * time.Second},
			"write 29 %, 200 MiB read, 50 MiB written, ETA 12s", false},
		{time.Millisecond, "write", capture.Progress{Done: 1000, Total: 1000, BytesIn: 800 * mib, Elapsed: 5 * time.Second}, "write 100 %, 800 MiB read", true},
		{time.Millisecond, "write", capture.Progress{Done: 1000, Total: 1000}, "", false},
		{2 * time.Second, "verify", capture.Progress{Done: 5, Total: 0}, "verify", false},
		{2 * time.Second, "verify", capture.Progress{Done: 7, Total: 5, Elapsed: 1}, "verify 100 %", true},
	} {
		now = now.Add(r.after)
		if got, mark := m.line(r.step, r.p); got != r.want || mark != r.mark {
			t.Errorf("%d: got %q, %v; want %q, %v", i, got, mark, r.want, r.mark)
		}
	}
}
