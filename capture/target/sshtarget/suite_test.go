package sshtarget_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/sshtarget"
	"github.com/gokdump/gokdump/capture/target/targettest"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
)

// config is for a directory of the test on the server.
func config(t *testing.T, s *sshd.Server) (sshtarget.Config, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "var", "cra'sh")
	return sshtarget.Config{
		Addr: s.Addr, User: s.User, Path: path, Key: s.Key, KnownHosts: s.KnownHosts,
		Timeout: 20 * time.Second, Patience: 20 * time.Second,
	}, path
}

func connect(t *testing.T, c sshtarget.Config) target.Target {
	t.Helper()
	tg, err := sshtarget.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	return tg
}

func TestSFTP(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	targettest.Suite(t, func(t *testing.T) (target.Target, fs.FS) {
		c, path := config(t, s)
		return connect(t, c), os.DirFS(path)
	})
}

// A server that has no SFTP is written to by cat.
func TestCat(t *testing.T) {
	s := sshd.Start(t, sshd.Options{NoSFTP: true})
	targettest.Suite(t, func(t *testing.T) (target.Target, fs.FS) {
		c, path := config(t, s)
		return connect(t, c), os.DirFS(path)
	}, targettest.Random, targettest.Listing)
}

// How files are written depends on the server, unless it is said.
func TestMode(t *testing.T) {
	with := sshd.Start(t, sshd.Options{})
	without := sshd.Start(t, sshd.Options{NoSFTP: true})
	broken := sshd.Start(t, sshd.Options{NoSFTP: true, Lines: []string{"Subsystem sftp /nonexistent/sftp-server"}})
	for _, tt := range []struct {
		server     *sshd.Server
		mode       sshtarget.Mode
		sequential bool
		want       string // of the error
	}{
		{with, sshtarget.Auto, false, ""},
		{with, sshtarget.SFTP, false, ""},
		{with, sshtarget.Cat, true, ""},
		{without, sshtarget.Auto, true, ""},
		{without, sshtarget.SFTP, false, "Subsystem sftp"},
		{broken, sshtarget.Auto, true, ""},
		{broken, sshtarget.SFTP, false, "Subsystem sftp"},
	} {
		c, _ := config(t, tt.server)
		c.Mode = tt.mode
		tg, err := sshtarget.New(t.Context(), c)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: %v, want %q", tt.mode, err, tt.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.mode, err)
			continue
		}
		if got := target.IsSequential(tg); got != tt.sequential {
			t.Errorf("%q: sequential %v", tt.mode, got)
		}
		tg.Close()
	}
}

// What the files of the user's shell print is in nobody's way.
func TestChattyShell(t *testing.T) {
	s := sshd.Start(t, sshd.Options{NoSFTP: true, Lines: []string{
		`ForceCommand echo "Welcome!"; echo ready; printf "no newline"; eval "$SSH_ORIGINAL_COMMAND"`,
	}})
	c, path := config(t, s)
	tg := connect(t, c)
	if n, err := tg.Free(); n == 0 || err != nil {
		t.Errorf("Free: %d, %v", n, err)
	}
	f, err := tg.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(path, "f")); string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
}
