package sshtarget_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/sshtarget"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
	"github.com/gokdump/gokdump/capture/target/targettest/wire"
)

// wired is a server behind a wire.
func wired(t *testing.T, opt sshd.Options) (*wire.Wire, sshtarget.Config, string) {
	t.Helper()
	s := sshd.Start(t, opt)
	w := wire.New(t, s.Addr)
	c, path := config(t, s)
	c.Addr, c.KnownHosts = w.Addr, s.KnownHostsAt(w.Addr)
	c.Timeout, c.Patience = 3*time.Second, time.Second
	return w, c, path
}

func random(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(p)
	return p
}

// limited fails the test, rather than all of them, when f does not end.
func limited(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("it hangs")
	}
}

// A peer from which nothing comes any more, whatever is under way.
func TestDeadPeer(t *testing.T) {
	var wg sync.WaitGroup // they wait most of the time
	defer wg.Wait()
	for name, opt := range map[string]sshd.Options{"sftp": {}, "cat": {NoSFTP: true}} {
		for op, do := range map[string]func(target.Target, target.File) error{
			"Write": func(_ target.Target, f target.File) error {
				var err error
				for i := 0; i < 1024 && err == nil; i++ { // more than any buffer in between holds
					_, err = f.Write(random(32 << 10))
				}
				return err
			},
			"Commit": func(_ target.Target, f target.File) error { return f.Commit() },
			"Create": func(tg target.Target, _ target.File) error { _, err := tg.Create("g"); return err },
			"Sub":    func(tg target.Target, _ target.File) error { _, err := tg.Sub("d"); return err },
			"Free":   func(tg target.Target, _ target.File) error { _, err := tg.Free(); return err },
		} {
			wg.Go(func() {
				t.Run(name+"/"+op, func(t *testing.T) {
					w, c, path := wired(t, opt)
					tg := connect(t, c)
					f, err := tg.Create("f")
					if err != nil {
						t.Fatal(err)
					}
					w.Pull()
					limited(t, func() {
						if err = do(tg, f); err == nil {
							t.Error("no error")
						}
						f.Abandon()
						tg.Close()
					})
					if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !strings.Contains(err.Error(), "no connection") {
						t.Errorf("%v", err)
					}
					if _, err := os.Stat(filepath.Join(path, "f")); err == nil {
						t.Error("the file has its name")
					}
				})
			})
		}
	}
}

// The cable is pulled in the middle of a file and plugged in again: the work goes
// on where it was.
func TestResume(t *testing.T) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, fault := range map[string]func(*wire.Wire){
		"cut":     func(w *wire.Wire) { w.CutAfter(5 << 20) },
		"pulled":  func(w *wire.Wire) { w.Pull(); time.AfterFunc(4*time.Second, func() { w.Cut(); w.Plug() }) },
		"refused": func(w *wire.Wire) { w.Refuse(); w.Cut(); time.AfterFunc(2*time.Second, w.Plug) },
	} {
		wg.Go(func() {
			t.Run(name, func(t *testing.T) {
				w, c, path := wired(t, sshd.Options{})
				c.Patience = time.Minute
				tg := connect(t, c)
				f, err := tg.Create("f")
				if err != nil {
					t.Fatal(err)
				}
				want := random(32 << 20)
				limited(t, func() {
					for off := 0; off < len(want); off += 1 << 20 {
						if off == 8<<20 {
							fault(w)
						}
						if _, err := f.WriteAt(want[off:off+1<<20], int64(off)); err != nil {
							t.Errorf("at %d: %v", off, err)
							break
						}
					}
					if err := f.Commit(); err != nil {
						t.Error(err)
					}
				})
				got, err := os.ReadFile(filepath.Join(path, "f"))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %v; or not what was written", len(got), err)
				}
				if d := f.(interface{ Doubtful() bool }); !d.Doubtful() {
					t.Error("the file is not doubted")
				}
				if warn := tg.(target.Warner).Warnings(); len(warn) != 1 || !strings.Contains(warn[0], "lost") {
					t.Errorf("warnings: %q", warn)
				}
			})
		})
	}
}

// A stream that broke cannot go on, and never gets its name.
func TestCatBreaks(t *testing.T) {
	w, c, path := wired(t, sshd.Options{NoSFTP: true})
	tg := connect(t, c)
	f, err := tg.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	w.CutAfter(5 << 20)
	limited(t, func() {
		for range 32 {
			if _, err = f.Write(random(1 << 20)); err != nil {
				break
			}
		}
	})
	if err == nil {
		t.Error("Write goes on")
	}
	if err := f.Commit(); err == nil {
		t.Error("Commit of a broken stream")
	}
	if _, err := os.Stat(filepath.Join(path, "f"+target.Incomplete)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(path, "f")); err == nil {
		t.Error("the file has its name")
	}
	// The target lives on, for the report.
	g, err := tg.Create("g")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := g.Commit(); err != nil {
		t.Error(err)
	}
}

// What the server has is changed behind the stream's back.
func TestCatIsProved(t *testing.T) {
	s := sshd.Start(t, sshd.Options{NoSFTP: true})
	c, path := config(t, s)
	for name, spoil := range map[string]func(*os.File) error{
		"other": func(f *os.File) error { _, err := f.WriteAt([]byte("X"), 3); return err },
		"short": func(f *os.File) error { return f.Truncate(5) },
	} {
		tg := connect(t, c)
		f, err := tg.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("something")); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		there := filepath.Join(path, name+target.Incomplete)
		for { // cat takes it when it can
			if fi, err := os.Stat(there); err == nil && fi.Size() == 9 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		h, err := os.OpenFile(there, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(h); err != nil {
			t.Fatal(err)
		}
		h.Close()
		if err := f.Commit(); err == nil || !strings.Contains(err.Error(), "sent") {
			t.Errorf("%s: Commit: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			t.Errorf("%s: the file has its name", name)
		}
	}
}

func TestHostKeyChanged(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	c, path := config(t, s)
	tg := connect(t, c) // the right key
	f, err := tg.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	s.ChangeHostKey()
	var changed *sshtarget.HostKeyError
	_, err = sshtarget.New(t.Context(), c)
	if !errors.As(err, &changed) || changed.Revoked || len(changed.Known) != 1 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"CHANGED", "nothing was sent", "known_hosts", "build the crash image again"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q: %v", want, err)
		}
	}
	// Nor is a connection made again to a server that is another now.
	tg.Close()
	if _, err := f.Write([]byte("secret")); err == nil {
		t.Error("data was sent")
	}
	if b, _ := os.ReadFile(filepath.Join(path, "f"+target.Incomplete)); len(b) > 0 {
		t.Errorf("%q was sent", b)
	}
}

func TestRefused(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	c, _ := config(t, s)
	other := sshd.Start(t, sshd.Options{})
	for name, tt := range map[string]struct {
		change func(*sshtarget.Config)
		want   string
	}{
		"stranger's key": {func(c *sshtarget.Config) { c.Key = other.Key }, "authorized_keys"},
		"unknown host":   {func(c *sshtarget.Config) { c.KnownHosts = other.KnownHosts }, "ssh-keyscan"},
		"no known_hosts": {func(c *sshtarget.Config) { c.KnownHosts = nil }, "ssh-keyscan"},
		"damaged line":   {func(c *sshtarget.Config) { c.KnownHosts = []byte("h ssh-ed25519 !!!\n") }, "known_hosts"},
		"revoked": {func(c *sshtarget.Config) {
			key := bytes.SplitN(c.KnownHosts, []byte(" "), 2)[1]
			c.KnownHosts = append(bytes.Clone(c.KnownHosts), append([]byte("@revoked * "), key...)...)
		}, "revoked"},
		"no key":          {func(c *sshtarget.Config) { c.Key = nil }, "private key"},
		"locked key":      {func(c *sshtarget.Config) { c.Key = locked(t) }, "passphrase"},
		"no port":         {func(c *sshtarget.Config) { c.Addr = "host" }, "host:port"},
		"no user":         {func(c *sshtarget.Config) { c.User = "" }, "user"},
		"odd mode":        {func(c *sshtarget.Config) { c.Mode = "ftp" }, "mode"},
		"not a directory": {func(c *sshtarget.Config) { c.Path = "/dev/null/x" }, ""},
		"no listener": {func(c *sshtarget.Config) {
			c.Patience = time.Second
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
		}, "no route"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			tt.change(&c)
			limited(t, func() {
				tg, err := sshtarget.New(t.Context(), c)
				if err == nil {
					tg.Close()
					t.Fatal("no error")
				}
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v lacks %q", err, tt.want)
				}
			})
		})
	}
}

func locked(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The context bounds New, whatever the deadlines of the configuration.
func TestNewIsBounded(t *testing.T) {
	w, c, _ := wired(t, sshd.Options{})
	c.Timeout, c.Patience = time.Hour, time.Hour
	w.Pull()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	limited(t, func() {
		if _, err := sshtarget.New(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

// Keys of all kinds let in, and a server is known by any of its names.
func TestKeys(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	c, _ := config(t, s)
	for name, key := range map[string][]byte{
		"rsa":   s.Keygen("rsa", "rsa", "-b", "2048"),
		"pem":   s.Keygen("pem", "rsa", "-b", "2048", "-m", "PEM"),
		"ecdsa": s.Keygen("ecdsa", "ecdsa", "-b", "384"),
	} {
		c := c
		c.Key = key
		tg, err := sshtarget.New(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tg.Close()
	}
	hashed := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(hashed, c.KnownHosts, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-H", "-f", hashed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(hashed)
	if err != nil || !bytes.HasPrefix(text, []byte("|1|")) {
		t.Fatalf("%.20q, %v", text, err)
	}
	for name, text := range map[string][]byte{
		"hashed":      text,
		"no newline":  bytes.TrimSpace(text),
		"wildcard":    bytes.Replace(c.KnownHosts, []byte("127.0.0.1"), []byte("127.0.*"), 1),
		"unknown key": append([]byte("# comment\n\nother sk-ssh-ed25519@openssh.com AAAA\nother ssh-dss AAAA\n"), text...),
	} {
		c := c
		c.KnownHosts = text
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		tg, err := sshtarget.New(t.Context(), c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tg.Close()
	}
}
