package qemu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// monitor answers the commands it gets with the lines of answers, in order, and
// then stays silent. It gives what it was asked.
func monitor(t *testing.T, answers ...string) (path string, asked func() []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "qmp")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintln(c, `{"QMP": {"version": {}, "capabilities": []}}`)
		for s := bufio.NewScanner(c); s.Scan(); {
			lines = append(lines, s.Text())
			if len(answers) > 0 {
				fmt.Fprintln(c, answers[0])
				answers = answers[1:]
			}
		}
	}()
	stop := func() {
		l.Close()
		<-done
	}
	return path, func() []string { stop(); return lines }
}

func TestQMP(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	path, asked := monitor(t,
		`{"return": {}}`,
		`{"event": "STOP", "data": {}}`+"\n"+`{"return": {"x": 1}}`,
		`{"return": {}}`,
		`{"error": {"class": "GenericError", "desc": "out of luck"}}`)
	q, err := DialQMP(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := q.Do(ctx, "stop", nil); err != nil || string(got) != `{"x": 1}` {
		t.Errorf("%s, %v", got, err)
	}
	if err := q.DumpGuestMemory(ctx, "/tmp/x", "kdump-zlib", true); err != nil {
		t.Error(err)
	}
	if _, err := q.Do(ctx, "cont", nil); err == nil || !strings.Contains(err.Error(), "cont: GenericError: out of luck") {
		t.Errorf("%v", err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	want := []string{
		`{"execute":"qmp_capabilities"}`, `{"execute":"stop"}`,
		`{"arguments":{"format":"kdump-zlib","paging":true,"protocol":"file:/tmp/x"},"execute":"dump-guest-memory"}`,
		`{"execute":"cont"}`,
	}
	if got := asked(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// Neither a silent monitor nor one that is not there is waited for beyond ctx.
func TestQMPEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := DialQMP(ctx, filepath.Join(t.TempDir(), "none")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	path, asked := monitor(t, `{"return": {}}`)
	q, err := DialQMP(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	short, cancelShort := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancelShort()
	if _, err := q.Do(short, "stop", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	q.Close()
	asked()
}
