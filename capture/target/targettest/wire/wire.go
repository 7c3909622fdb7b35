// Package wire is a cable for tests: a TCP proxy on the loopback interface that
// can be pulled, cut and plugged in again.
//
// It is test code only.
package wire

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Wire forwards connections to one address.
type Wire struct {
	// Addr is where it listens: host:port.
	Addr string

	to      string
	l       net.Listener
	pulled  atomic.Bool
	refused atomic.Bool
	// cutAfter is after how many more bytes all connections are closed; 0: never.
	cutAfter atomic.Int64
	delay    atomic.Int64 // of each piece, in nanoseconds
	moved    atomic.Int64
	dials    atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// New makes a wire to the address to, until the test ends.
func New(t testing.TB, to string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{Addr: l.Addr().String(), to: to, l: l, conns: map[net.Conn]bool{}}
	go w.accept()
	t.Cleanup(func() {
		l.Close()
		w.Cut()
	})
	return w
}

// Pull makes the wire silent: nothing gets through, and nobody is told.
func (w *Wire) Pull() { w.pulled.Store(true) }

// Plug ends Pull and Refuse.
func (w *Wire) Plug() { w.pulled.Store(false); w.refused.Store(false) }

// Refuse closes new connections at once.
func (w *Wire) Refuse() { w.refused.Store(true) }

// Slow makes each piece of up to 64 KiB wait on its way to the server.
func (w *Wire) Slow(d time.Duration) { w.delay.Store(int64(d)) }

// CutAfter closes all connections after n more bytes, from whatever side.
func (w *Wire) CutAfter(n int64) { w.cutAfter.Store(w.moved.Load() + n) }

// Cut closes all connections now.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
	clear(w.conns)
}

// Moved is how many bytes went through; Dials how many connections were made.
func (w *Wire) Moved() int64 { return w.moved.Load() }
func (w *Wire) Dials() int64 { return w.dials.Load() }

func (w *Wire) accept() {
	for {
		in, err := w.l.Accept()
		if err != nil {
			return
		}
		if w.refused.Load() {
			in.Close()
			continue
		}
		w.dials.Add(1)
		if t, ok := in.(*net.TCPConn); ok {
			t.SetReadBuffer(64 << 10) // what is in the wire has not arrived
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			in.Close()
			continue
		}
		w.mu.Lock()
		w.conns[in], w.conns[out] = true, true
		w.mu.Unlock()
		go w.copy(in, out, false)
		go w.copy(out, in, true)
	}
}

func (w *Wire) copy(to, from net.Conn, slow bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		for w.pulled.Load() {
			time.Sleep(10 * time.Millisecond)
			w.mu.Lock()
			gone := !w.conns[from]
			w.mu.Unlock()
			if gone {
				return
			}
		}
		if d := w.delay.Load(); d > 0 && slow {
			time.Sleep(time.Duration(d))
		}
		if n > 0 {
			now := w.moved.Add(int64(n))
			if at := w.cutAfter.Load(); at > 0 && now >= at {
				w.cutAfter.Store(0)
				w.Cut()
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				return
			}
			if c, ok := to.(*net.TCPConn); ok {
				c.CloseWrite()
			}
			return
		}
	}
}
