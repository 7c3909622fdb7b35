package sshtarget

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// link is the way to the server. All that is done there goes through do, which
// bounds it, and makes the connection anew when it was lost.
type link struct {
	cfg Config
	ssh *ssh.ClientConfig

	ctx  context.Context // ends when the link is given up
	end  context.CancelCauseFunc
	refs atomic.Int64 // directories that use it

	mu   sync.Mutex // held while connecting: the others wait for the outcome
	cur  *conn
	gen  int
	down time.Time // since when nothing could be done; zero when all is well

	seen sync.Mutex
	lost int // connections
}

// Bounds on the wait between attempts to connect.
const (
	firstWait = 500 * time.Millisecond
	lastWait  = 5 * time.Second
)

// slowest is the rate, in bytes per second, that a link must have: what is
// slower is dead.
const slowest = 128 << 10

func newLink(c Config, cfg *ssh.ClientConfig) *link {
	l := &link{cfg: c, ssh: cfg}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.refs.Store(1)
	go l.keepAlive()
	return l
}

// String is user@host:port.
func (l *link) String() string { return l.cfg.User + "@" + l.cfg.Addr }

// moving is how long n bytes may take, beside the answer's time.
func moving(n int) time.Duration { return time.Duration(n) * time.Second / slowest }

// do does something that may take extra longer than an answer. When the connection
// is lost meanwhile, it is done again on a new one, so that it must bear being done
// twice.
func (l *link) do(op string, extra time.Duration, f func(*conn) error) error {
	limit := l.cfg.Timeout + extra
	for {
		c, err := l.get()
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		err = c.within(limit, func() error { return f(c) })
		if err == nil || !isLost(err) {
			l.well(c)
			if err != nil {
				return fmt.Errorf("%s: %w", op, err)
			}
			return nil
		}
		l.drop(c, fmt.Errorf("%s: %w", op, err))
	}
}

// get gives the connection; a new one when there is none.
func (l *link) get() (*conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur != nil {
		return l.cur, nil
	}
	if l.down.IsZero() {
		l.down = time.Now()
	}
	var cause error // the last one that is not ours
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		if l.ctx.Err() != nil {
			return nil, context.Cause(l.ctx)
		}
		left := l.cfg.Patience - time.Since(l.down)
		if left <= 0 {
			if cause == nil {
				cause = errors.New("the connection was lost each time it was made")
			}
			cause = fmt.Errorf("no connection for %v: %w", l.cfg.Patience, cause)
			l.end(cause)
			return nil, cause
		}
		c, err := l.connect(min(l.cfg.Timeout, max(left, time.Second)))
		if err == nil {
			l.cur = c
			return c, nil
		}
		if cause = err; isFinal(err) {
			l.end(err)
			return nil, err
		}
		select {
		case <-time.After(min(wait, left)):
		case <-l.ctx.Done():
		}
	}
}

// now gives the connection there is, or nil.
func (l *link) now() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur
}

// well notes that the server did something.
func (l *link) well(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == c {
		l.down = time.Time{}
	}
}

// drop gives up a connection that failed.
func (l *link) drop(c *conn, err error) {
	c.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur != c {
		return
	}
	l.cur = nil
	if l.down.IsZero() {
		l.down = time.Now()
	}
	l.seen.Lock()
	l.lost++
	l.seen.Unlock()
}

// outages is how many connections were lost.
func (l *link) outages() int {
	l.seen.Lock()
	defer l.seen.Unlock()
	return l.lost
}

// shut ends the link for good. What is under way fails.
func (l *link) shut(cause error) {
	l.end(cause)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur != nil {
		l.cur.close()
		l.cur = nil
	}
}

// hold and release count the directories that use the link.
func (l *link) hold() { l.refs.Add(1) }

func (l *link) release() {
	if l.refs.Add(-1) == 0 {
		l.shut(net.ErrClosed)
	}
}

// keepAlive sees to it that an idle connection is not forgotten by what lies in
// between, and that its death is noticed. A busy one needs neither.
func (l *link) keepAlive() {
	t := time.NewTicker(max(l.cfg.Timeout/2, time.Second))
	defer t.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-t.C:
		}
		c := l.now()
		if c == nil || c.busy.Load() > 0 {
			continue
		}
		err := c.within(l.cfg.Timeout, func() error {
			_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
			return err
		})
		if err != nil {
			l.drop(c, err)
		}
	}
}

// isLost tells whether an error means that the connection is of no use any more;
// what the server says of a file does not.
func isLost(err error) bool {
	var status *sftp.StatusError
	if errors.As(err, &status) {
		return status.FxCode() == sftp.ErrSSHFxConnectionLost || status.FxCode() == sftp.ErrSSHFxNoConnection
	}
	var n *net.OpError
	return errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, sftp.ErrSSHFxNoConnection) ||
		errors.Is(err, errNoAnswer) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errEnded) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &n)
}
