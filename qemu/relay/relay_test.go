package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// echo is a server that says what it is told.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

func connect(t *testing.T, r *Relay) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return c
}

func TestRelay(t *testing.T) {
	r, err := New(echo(t), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Down()
	port := r.Port()
	c := connect(t, r)
	want := bytes.Repeat([]byte("0123456789"), 30_000)
	mark := r.Reached(int64(len(want)))
	go func() { _, _ = c.Write(want) }()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v; the same bytes: %v", err, bytes.Equal(got, want))
	}
	<-mark

	r.Down()
	if n, err := c.Read(got); err == nil {
		t.Errorf("%d bytes through a relay that is down", n)
	}
	if _, err := net.Dial("tcp", r.addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection to a relay that is down: %v", err)
	}
	if err := r.Up(); err != nil || r.Port() != port {
		t.Fatalf("up again: %v, port %d, want %d", err, r.Port(), port)
	}
	c = connect(t, r)
	if _, err := c.Write([]byte("on")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got[:2]); err != nil || string(got[:2]) != "on" {
		t.Errorf("%q, %v", got[:2], err)
	}
}

// However many connections there are, they share the rate.
func TestRate(t *testing.T) {
	r, err := New(echo(t), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Down()
	start := time.Now()
	mark := r.Reached(256 << 10)
	for range 4 {
		c := connect(t, r)
		go func() { _, _ = c.Write(make([]byte, 128<<10)) }()
	}
	<-mark
	// Less time than this is impossible, on any machine; one piece may go at once.
	if d := time.Since(start); d < 180*time.Millisecond {
		t.Errorf("256 KiB in %v at 1 MiB/s", d)
	}
}
