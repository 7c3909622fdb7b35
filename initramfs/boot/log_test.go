package boot

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// sink collects what is written; it can be made to hang.
type sink struct {
	mu    sync.Mutex
	lines []string
	err   error
	gate  chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.lines = append(s.lines, string(p))
	return len(p), nil
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "")
}

func TestLogRoutes(t *testing.T) {
	for _, tt := range []struct {
		name          string
		level         int
		kmsg          *sink
		kernel, local string
	}{
		{"the kernel prints it", 7, &sink{}, "<6>kdump: up\n<3>kdump: bad\n", ""},
		{"the kernel keeps some back", 4, &sink{}, "<6>kdump: up\n<3>kdump: bad\n", "kdump: up\n"},
		{"kmsg refuses", 7, &sink{err: unix.EPERM}, "", "kdump: up\nkdump: bad\n"},
		{"no kmsg", 7, nil, "", "kdump: up\nkdump: bad\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			screen := &sink{}
			console := NewConsole(screen)
			var l *Log
			if tt.kmsg != nil {
				l = NewLog(tt.kmsg, console, tt.level, false)
			} else {
				l = NewLog(nil, console, tt.level, false)
			}
			l.Infof("up")
			l.Debugf("hidden")
			l.Errorf("bad")
			if !console.Flush(time.Minute) {
				t.Fatal("console not flushed")
			}
			if got := screen.text(); got != tt.local {
				t.Errorf("console got %q, want %q", got, tt.local)
			}
			if tt.kmsg != nil && tt.kmsg.text() != tt.kernel {
				t.Errorf("kernel got %q, want %q", tt.kmsg.text(), tt.kernel)
			}
			if got, want := string(l.Own()), "kdump: up\nkdump: bad\n"; got != want {
				t.Errorf("own lines %q, want %q", got, want)
			}
		})
	}
}

func TestLogRecords(t *testing.T) {
	k := &sink{}
	l := NewLog(k, nil, 7, true)
	l.Infof("one\ntwo\r\n\n%s", strings.Repeat("ä", 1000))
	l.Debugf("a\x1b[2Jb\tc")
	l.Progress("nowhere to show it")
	joined := ""
	for i, r := range k.lines {
		if len(r) > maxRecord+1 || !utf8.ValidString(r) || strings.Count(r, "\n") != 1 {
			t.Errorf("record %d: %d bytes: %q", i, len(r), r)
		}
		if i > 2 {
			joined += strings.TrimSuffix(strings.TrimPrefix(r, "<6>kdump: "), "\n")
		}
	}
	if !strings.HasPrefix(joined, strings.Repeat("ä", 1000)) {
		t.Error("a long line lost something")
	}
	if want := "<7>kdump: a?[2Jb c\n"; k.lines[len(k.lines)-1] != want {
		t.Errorf("got %q, want %q", k.lines[len(k.lines)-1], want)
	}
}

func TestLogIsBounded(t *testing.T) {
	l := NewLog(nil, nil, 0, false)
	for i := range 10000 {
		l.Infof("%d %s", i, strings.Repeat("x", 80))
	}
	own := string(l.Own())
	if len(own) > 2*maxOwn+100 || len(own) < maxOwn {
		t.Errorf("%d bytes kept", len(own))
	}
	if !strings.Contains(own, "kdump: 9999 ") || !strings.HasPrefix(own, "(earlier") {
		t.Error("the latest line is gone, or the loss is not told")
	}
}

func TestConsoleNeverWaits(t *testing.T) {
	stuck := &sink{gate: make(chan struct{})}
	c := NewConsole(stuck)
	for i := range 3 * consoleQueue {
		c.Line(fmt.Sprint(i))
	}
	if c.Flush(time.Millisecond) {
		t.Error("flushed although the console hangs")
	}
	close(stuck.gate)
	if !c.Flush(time.Minute) {
		t.Fatal("not flushed")
	}
	got := stuck.text()
	if !strings.Contains(got, "lines lost") || !strings.HasSuffix(got, fmt.Sprintf("\n%d\n", 3*consoleQueue-1)) {
		t.Errorf("console shows %.200q", got)
	}
}

func TestReadKmsg(t *testing.T) {
	type answer struct {
		rec string
		err error
	}
	for _, tt := range []struct {
		name    string
		answers []answer
		want    string
		err     error
	}{
		{"records", []answer{
			{"6,0,1500000,-;Linux version 6.1\n", nil},
			{"", unix.EINTR},
			{"", unix.EPIPE},
			{"14,7,62000001,-;kdump: a; b\n SUBSYSTEM=block\n DEVICE=b8:0\n", nil},
			{"", unix.EAGAIN},
		}, "[    1.500000] Linux version 6.1\n[   62.000001] kdump: a; b\n", nil},
		{"nonsense", []answer{{"no semicolon", nil}, {"x;y", nil}, {"", nil}}, "no semicolon\ny\n", nil},
		{"error", []answer{{"6,0,0,-;a\n", nil}, {"", unix.EIO}}, "[    0.000000] a\n", unix.EIO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadKmsg(func(p []byte) (int, error) {
				a := tt.answers[0]
				tt.answers = tt.answers[1:]
				return copy(p, a.rec), a.err
			})
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if _, err := ReadKmsg(func([]byte) (int, error) { return 0, unix.EPIPE }); !errors.Is(err, unix.EPIPE) {
		t.Errorf("endless EPIPE: %v", err)
	}
	n := 0
	got, err := ReadKmsg(func(p []byte) (int, error) {
		if n++; n > 1000 {
			return 0, unix.EAGAIN
		}
		return len(p), nil
	})
	if err != nil || len(got) > 2*MaxKmsg {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func FuzzAppendRecord(f *testing.F) {
	f.Add([]byte("6,0,1500000,-;text\n DICT=1\n"))
	f.Add([]byte(",,99999999999999999999,;"))
	f.Fuzz(func(t *testing.T, rec []byte) {
		out := appendRecord([]byte("before\n"), rec)
		if !strings.HasPrefix(string(out), "before\n") || out[len(out)-1] != '\n' || len(out) > len(rec)+40 {
			t.Fatalf("%q", out)
		}
	})
}

func TestParsePrintk(t *testing.T) {
	for in, want := range map[string]int{"7\t4\t1\t7\n": 7, "": 0, "x": 0, "4": 4} {
		if got := parsePrintk([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func TestCaptureLog(t *testing.T) {
	l := NewLog(nil, nil, 0, false)
	l.Infof("mine")
	got := string(l.CaptureLog(func() ([]byte, error) { return []byte("[ 1.0] theirs\n"), unix.EIO }))
	want := "== kdump-init ==\nkdump: mine\n\n== the capture kernel's log ==\n[ 1.0] theirs\n(input/output error)\n"
	if got != want {
		t.Errorf("got %q", got)
	}
}
