// Package sshtarget keeps the files of a capture on another machine, over SSH: by
// SFTP, or where the server has no SFTP by a shell and its cat.
//
// The package owns the connection, its proof of who the server is, and the bound
// on every wait: a peer that is dead gives an error, and before that the
// connection is made again and the work goes on where it was. It never asks a
// person anything, never trusts a host key that it was not given, and never
// resolves more than the caller's dial function does.
//
// Facts: RFC 4253 and 4254; draft-ietf-secsh-filexfer-02, which OpenSSH speaks,
// with the extensions of its PROTOCOL document (posix-rename@openssh.com,
// fsync@openssh.com, statvfs@openssh.com); sshd(8) for the format of known_hosts;
// POSIX.1-2017 for the shell.
package sshtarget

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"golang.org/x/crypto/ssh"
)

// Mode is how files are written.
type Mode string

// The modes.
const (
	// Auto takes SFTP where the server has it, else Cat.
	Auto Mode = ""
	// SFTP writes in any order and reads back.
	SFTP Mode = "sftp"
	// Cat writes from front to back, through a shell: [target.Sequential].
	Cat Mode = "cat"
)

// Defaults of [Config].
const (
	DefaultTimeout  = 30 * time.Second
	DefaultPatience = 60 * time.Second
)

// Config says where files go. Its zero fields have defaults where one is named.
type Config struct {
	// Addr is the server, "host:port", as known_hosts has it and as Dial gets it.
	Addr string
	// User is the name to log in with.
	User string
	// Path is the directory for dumps on the server: absolute, or from where the
	// server puts the user. What is missing of it is made, with mode 0700.
	Path string
	// Key is the private key: OpenSSH's format or PEM, without a passphrase.
	Key []byte
	// KnownHosts is the text of a known_hosts file. It must have the server.
	KnownHosts []byte
	// Mode is how files are written.
	Mode Mode
	// Timeout is how long the server may take to answer; for data 1 second for
	// each 32 KiB is added. 0 means DefaultTimeout.
	Timeout time.Duration
	// Patience is how long it is tried to get a lost connection, or the first one,
	// before that is an error. 0 means DefaultPatience.
	Patience time.Duration
	// Dial makes the TCP connection; nil means that of package net.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Check returns what is wrong with c as far as can be told without the server:
// the key, and whether known_hosts has the server. It serves to tell while the
// machine is still well.
func (c Config) Check() error {
	_, err := c.client()
	return err
}

// client makes the library's form of c.
func (c Config) client() (*ssh.ClientConfig, error) {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return nil, fmt.Errorf("ssh target: address %q: want host:port: %w", c.Addr, err)
	}
	if c.User == "" || c.Path == "" {
		return nil, fmt.Errorf("ssh target %s: user %q, path %q: both are needed", c.Addr, c.User, c.Path)
	}
	switch c.Mode {
	case Auto, SFTP, Cat:
	default:
		return nil, fmt.Errorf("ssh target %s: mode %q is none of sftp, cat", c.Addr, c.Mode)
	}
	key, err := ssh.ParsePrivateKey(c.Key)
	if err != nil {
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			return nil, fmt.Errorf("ssh target %s: the private key has a passphrase, which nobody can type in a crash kernel: make a key without one (ssh-keygen -N '')", c.Addr)
		}
		return nil, fmt.Errorf("ssh target %s: private key: %w", c.Addr, err)
	}
	known, err := newKnown(c.Addr, c.KnownHosts)
	if err != nil {
		return nil, err
	}
	cfg := &ssh.ClientConfig{
		User:              c.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback:   known.check,
		HostKeyAlgorithms: known.algorithms,
		ClientVersion:     "SSH-2.0-gokdump",
	}
	// AES-GCM is two to ten times as fast as the others where the CPU knows AES,
	// and the default order may put it last.
	cfg.Ciphers = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR}
	return cfg, nil
}

// New connects and makes the directory. It returns within Patience plus some
// answers of the server, or when ctx ends. A host key that is not the known one,
// and a server that does not want the user's key, are errors at once.
func New(ctx context.Context, c Config) (target.Target, error) {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Patience <= 0 {
		c.Patience = DefaultPatience
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	cfg, err := c.client()
	if err != nil {
		return nil, err
	}
	l := newLink(c, cfg)
	// Until this returns, the link lives no longer than ctx.
	stop := context.AfterFunc(ctx, func() { l.shut(context.Cause(ctx)) })
	defer stop()
	t, err := open(l, c)
	if err != nil {
		l.shut(err)
		return nil, fmt.Errorf("ssh target %s: %w", l, err)
	}
	return t, nil
}

func open(l *link, c Config) (target.Target, error) {
	var sequential bool
	if err := l.do("connect", 0, func(n *conn) error { sequential = n.sftp == nil; return nil }); err != nil {
		return nil, err
	}
	if sequential {
		return newCatDir(l, c.Path)
	}
	return newDir(l, c.Path)
}
