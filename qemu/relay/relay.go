// Package relay stands between a machine and a server: it passes TCP connections on, no
// faster than it is told, counts what goes to the server, and breaks when it is told
// to. So a fault comes in the middle of a copy, however fast machine and server are.
//
// It owns the connections and looks at nothing in them.
package relay

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// piece is what is passed on at once, in bytes.
const piece = 64 << 10

// Relay is a port of 127.0.0.1 that leads to a server.
type Relay struct {
	to   string
	rate int // bytes in a second, towards the server
	addr string

	mu       sync.Mutex
	listener net.Listener // nil while it is down
	conns    map[net.Conn]bool
	passed   int64
	next     time.Time // when the next piece may go
	mark     int64
	reached  chan struct{}
}

// New makes one that leads to the server at the address to, and lets it be sent no
// more than rate bytes in a second, over all connections.
func New(to string, rate int) (*Relay, error) {
	r := &Relay{to: to, rate: rate, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	return r, r.Up()
}

// Port is the port that it listens on.
func (r *Relay) Port() int {
	_, port, _ := net.SplitHostPort(r.addr)
	n, _ := net.LookupPort("tcp", port)
	return n
}

// Reached is closed when n more bytes have gone to the server. Only the last call
// counts.
func (r *Relay) Reached(n int64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mark, r.reached = r.passed+n, make(chan struct{})
	return r.reached
}

// Up listens, on the same port as before.
func (r *Relay) Up() error {
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addr, r.listener = l.Addr().String(), l
	go r.accept(l)
	return nil
}

// Down breaks all connections and refuses new ones, as where no server listens.
func (r *Relay) Down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil {
		r.listener.Close()
		r.listener = nil
	}
	for c := range r.conns {
		c.Close()
	}
}

func (r *Relay) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go r.pass(c, l)
	}
}

// pass connects two sides until one of them ends.
func (r *Relay) pass(c net.Conn, l net.Listener) {
	defer c.Close()
	s, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer s.Close()
	if !r.keep(l, c, s) {
		return
	}
	defer r.forget(c, s)
	go func() {
		defer c.Close()
		defer s.Close()
		_, _ = io.Copy(c, s)
	}()
	b := make([]byte, piece)
	for {
		n, err := c.Read(b)
		if n > 0 {
			r.slow(n)
			if _, err := s.Write(b[:n]); err != nil {
				return
			}
			r.count(n)
		}
		if err != nil {
			return
		}
	}
}

// keep notes connections that Down breaks; false when l is down already.
func (r *Relay) keep(l net.Listener, conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != l {
		return false
	}
	for _, c := range conns {
		r.conns[c] = true
	}
	return true
}

func (r *Relay) forget(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		delete(r.conns, c)
	}
}

// slow waits until n bytes may go.
func (r *Relay) slow(n int) {
	r.mu.Lock()
	now := time.Now()
	at := now
	if r.next.After(at) {
		at = r.next
	}
	r.next = at.Add(time.Duration(n) * time.Second / time.Duration(r.rate))
	r.mu.Unlock()
	time.Sleep(at.Sub(now))
}

func (r *Relay) count(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed += int64(n)
	if r.reached != nil && r.passed >= r.mark {
		close(r.reached)
		r.reached = nil
	}
}
