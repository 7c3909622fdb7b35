package sshtarget

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// conn is one connection.
type conn struct {
	gen  int // counts them
	tcp  net.Conn
	ssh  *ssh.Client
	sftp *sftp.Client // nil for a shell
	busy atomic.Int64 // operations under way
	late atomic.Bool  // it was closed because there was no answer
}

// errNoAnswer is wrapped by errors of operations that took too long.
var errNoAnswer = fmt.Errorf("no answer: %w", os.ErrDeadlineExceeded)

// errEnded is wrapped by errors of streams that ended where they must not.
var errEnded = errors.New("the connection ended")

// finalError is an error that another attempt cannot mend.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func isFinal(err error) bool {
	var f finalError
	return errors.As(err, &f)
}

// within does f, and closes the connection, on which f then fails, when it takes
// longer than limit.
func (c *conn) within(limit time.Duration, f func() error) error {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	t := time.AfterFunc(limit, func() {
		c.late.Store(true)
		c.close()
	})
	defer t.Stop()
	err := f()
	if err == nil {
		return nil
	}
	if c.late.Load() {
		return fmt.Errorf("%w within %v", errNoAnswer, limit)
	}
	if errors.Is(err, io.EOF) { // libraries say so when the connection ends
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return err
}

// close ends the connection without a farewell, for which a dead peer would have
// to be waited.
func (c *conn) close() { c.tcp.Close() }

// connect makes a connection, for which there is so much time.
func (l *link) connect(limit time.Duration) (*conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, limit)
	defer cancel()
	tcp, err := l.cfg.Dial(ctx, "tcp", l.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	l.gen++
	c := &conn{gen: l.gen, tcp: tcp}
	stop := context.AfterFunc(l.ctx, c.close)
	err = c.within(limit, func() error { return c.login(l) })
	if !stop() && err == nil { // the link was shut meanwhile
		err = context.Cause(l.ctx)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// login shakes hands and opens SFTP.
func (c *conn) login(l *link) error {
	sc, chans, reqs, err := ssh.NewClientConn(c.tcp, l.cfg.Addr, l.ssh)
	if err != nil {
		return explain(l, err)
	}
	c.ssh = ssh.NewClient(sc, chans, reqs)
	if l.cfg.Mode == Cat {
		return nil
	}
	c.sftp, err = sftp.NewClient(c.ssh, sftp.UseConcurrentWrites(true), sftp.UseConcurrentReads(true), sftp.MaxConcurrentRequestsPerFile(requests))
	if err == nil {
		return nil
	}
	// No subsystem, or one whose program is not there and which so ends at once.
	refused := strings.Contains(err.Error(), "subsystem request failed") || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if c.late.Load() || !refused {
		return fmt.Errorf("sftp: %w", err)
	}
	if l.cfg.Mode == SFTP {
		return finalError{fmt.Errorf("the server has no SFTP (%w): give it a Subsystem sftp line in sshd_config, or use the mode cat", err)}
	}
	c.sftp = nil
	return nil
}

// requests is how many requests of 32 KiB one WriteAt has under way: as much as
// the window that OpenSSH gives, 2 MiB.
const requests = 64

// explain says what to do about a handshake that failed.
func explain(l *link, err error) error {
	var hk *HostKeyError
	switch {
	case errors.As(err, &hk):
		return finalError{hk}
	case strings.Contains(err.Error(), "unable to authenticate"):
		return finalError{fmt.Errorf("the server does not let %s in with this key: put its public half into that user's authorized_keys there: %w", l.cfg.User, err)}
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return finalError{fmt.Errorf("the server has none of the host keys that known_hosts has (%s): add what ssh-keyscan prints, after comparing fingerprints: %w", strings.Join(l.ssh.HostKeyAlgorithms, ", "), err)}
	}
	return fmt.Errorf("ssh handshake: %w", err)
}
