// Package sshd runs an OpenSSH server of its own for tests: with its own
// configuration, host key and port on the loopback interface, for the user that
// runs the tests.
//
// It is test code only. It needs sshd(8) and ssh-keygen(1), which scripts/setup
// installs.
package sshd

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Options says what the server can do.
type Options struct {
	// NoSFTP leaves the subsystem out.
	NoSFTP bool
	// Lines are more lines for sshd_config.
	Lines []string
}

// Server is a running server.
type Server struct {
	Addr       string // host:port
	User       string // who may log in
	Key        []byte // the user's private key, ed25519
	KnownHosts []byte // one line

	t      testing.TB
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a server until the test ends.
func Start(t testing.TB, opt Options) *Server {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, User: me.Username, dir: t.TempDir(), Addr: freeAddr(t)}
	s.keygen("user", "ed25519")
	s.keygen("host", "ed25519")
	s.Key = s.read("user")
	s.KnownHosts = s.knownHosts("host")
	_, port, _ := net.SplitHostPort(s.Addr)
	config := []string{
		"ListenAddress 127.0.0.1:" + port,
		"HostKey " + filepath.Join(s.dir, "host"),
		"AuthorizedKeysFile " + filepath.Join(s.dir, "user.pub"),
		"StrictModes no", // the directory for tests is anybody's
		"UsePAM no",
		"PasswordAuthentication no",
		"PidFile none",
		"LogLevel VERBOSE",
		// bash then leaves the user's .bashrc alone, which may take seconds.
		"SetEnv SHLVL=2",
	}
	if !opt.NoSFTP {
		config = append(config, "Subsystem sftp internal-sftp")
	}
	config = append(config, opt.Lines...)
	if err := os.WriteFile(filepath.Join(s.dir, "config"), []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("log of sshd:\n%s", s.log())
		}
	})
	s.Run()
	return s
}

func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Run starts the server, on the same port as before.
func (s *Server) Run() {
	s.t.Helper()
	path, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		s.t.Fatalf("%v: scripts/setup installs openssh-server", err)
	}
	if os.Getuid() == 0 { // where it locks up what is not trusted yet
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	s.cmd = exec.Command(path, "-D", "-e", "-f", filepath.Join(s.dir, "config"))
	// A file, not a pipe: connections that outlive the server hold it open.
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd.Stderr = out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { c.Wait(); close(done) }(s.cmd, s.exited)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-s.exited:
			s.t.Fatalf("sshd ended:\n%s", s.log())
		default:
		}
		if c, err := net.Dial("tcp", s.Addr); err == nil {
			c.Close()
			return
		}
	}
	s.t.Fatalf("sshd does not listen on %s:\n%s", s.Addr, s.log())
}

// Stop ends the server; connections live on, in processes of their own.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		<-s.exited
		s.cmd = nil
	}
}

// ChangeHostKey gives the server another host key. KnownHosts stays.
func (s *Server) ChangeHostKey() {
	s.t.Helper()
	s.Stop()
	for _, f := range []string{"host", "host.pub"} {
		if err := os.Remove(filepath.Join(s.dir, f)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.keygen("host", "ed25519")
	s.Run()
}

// KnownHostsAt gives the line of known_hosts for the server at another address,
// where something forwards to it.
func (s *Server) KnownHostsAt(addr string) []byte {
	return bytes.Replace(s.KnownHosts, []byte(pattern(s.Addr)), []byte(pattern(addr)), 1)
}

// Keygen makes a key pair of a type that ssh-keygen(1) knows and lets the user in
// with it; it gives the private key.
func (s *Server) Keygen(name string, args ...string) []byte {
	s.t.Helper()
	s.keygen(name, args...)
	f, err := os.OpenFile(filepath.Join(s.dir, "user.pub"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(s.read(name + ".pub")); err != nil {
		s.t.Fatal(err)
	}
	return s.read(name)
}

// keygen takes the type of key and what else ssh-keygen(1) takes.
func (s *Server) keygen(name string, args ...string) {
	s.t.Helper()
	args = append([]string{"-q", "-N", "", "-C", "test", "-f", filepath.Join(s.dir, name), "-t"}, args...)
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

func (s *Server) read(name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *Server) knownHosts(name string) []byte {
	return append([]byte(pattern(s.Addr)+" "), s.read(name+".pub")...)
}

// pattern is an address as known_hosts has it.
func pattern(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return fmt.Sprintf("[%s]:%s", host, port)
}

// log gives the end of what the server said.
func (s *Server) log() []byte {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return b[max(0, len(b)-8<<10):]
}
