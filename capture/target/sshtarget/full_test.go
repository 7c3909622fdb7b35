package sshtarget_test

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/sshtarget"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// fullServer is an SFTP server in this process, since no file system here may be
// filled: it has room for so many bytes, and says of a full disk what OpenSSH says,
// which is nothing but SSH_FX_FAILURE.
type fullServer struct {
	sftp.Handlers
	room     atomic.Int64
	readOnly bool
	mute     bool // it does not tell what room there is
}

func (s *fullServer) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	w, err := s.Handlers.FilePut.Filewrite(r)
	return roomWriter{w, s}, err
}

func (s *fullServer) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	if s.readOnly {
		return nil, sftp.ErrSSHFxFailure
	}
	f, err := s.Handlers.FilePut.(sftp.OpenFileWriter).OpenFile(r)
	return roomFile{f, s}, err
}

func (s *fullServer) StatVFS(*sftp.Request) (*sftp.StatVFS, error) {
	if s.mute {
		return nil, sftp.ErrSSHFxOpUnsupported
	}
	st := &sftp.StatVFS{Bsize: 4096, Frsize: 4096, Bavail: uint64(s.room.Load()) / 4096}
	if s.readOnly {
		st.Flag, st.Bavail = 1, 1<<40
	}
	return st, nil
}

func (s *fullServer) Filecmd(r *sftp.Request) error { return s.Handlers.FileCmd.Filecmd(r) }

// The library's server in memory knows no permissions: TestFullDisk looks at what
// is made of that.

type roomWriter struct {
	io.WriterAt
	s *fullServer
}

func (w roomWriter) WriteAt(p []byte, off int64) (int, error) {
	if w.s.room.Add(-int64(len(p))) < 0 {
		w.s.room.Add(int64(len(p)))
		return 0, sftp.ErrSSHFxFailure
	}
	return w.WriterAt.WriteAt(p, off)
}

type roomFile struct {
	sftp.WriterAtReaderAt
	s *fullServer
}

func (f roomFile) WriteAt(p []byte, off int64) (int, error) {
	return roomWriter{f.WriterAtReaderAt, f.s}.WriteAt(p, off)
}

func (s *fullServer) start(t *testing.T) sshtarget.Config {
	t.Helper()
	_, hostKey, _ := ed25519.GenerateKey(nil)
	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	_, userKey, _ := ed25519.GenerateKey(nil)
	block, err := ssh.MarshalPrivateKey(userKey, "")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	cfg.AddHostKey(host)
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
			go s.serve(c, cfg)
		}
	}()
	addr := l.Addr().String()
	return sshtarget.Config{
		Addr: addr, User: "u", Path: "/dumps", Key: pem.EncodeToMemory(block), Timeout: 20 * time.Second, Patience: time.Second,
		KnownHosts: []byte(knownhosts.Line([]string{addr}, host.PublicKey())),
	}
}

func (s *fullServer) serve(c net.Conn, cfg *ssh.ServerConfig) {
	defer c.Close()
	_, chans, reqs, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	for n := range chans {
		ch, reqs, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range reqs {
				r.Reply(r.Type == "subsystem", nil)
			}
		}()
		go sftp.NewRequestServer(ch, sftp.Handlers{FileGet: s.FileGet, FilePut: s, FileCmd: s, FileList: s.FileList}).Serve()
	}
}

// SFTP has no word for a full disk. It is found out, and the bytes that are there
// are counted right.
func TestFullDisk(t *testing.T) {
	for name, tt := range map[string]struct {
		mute bool
		want error
	}{
		"told":     {false, syscall.ENOSPC},
		"not told": {true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fullServer{Handlers: sftp.InMemHandler(), mute: tt.mute}
			s.room.Store(3 << 20)
			tg := connect(t, s.start(t))
			f, err := tg.Create("f")
			if err != nil {
				t.Fatal(err)
			}
			want := random(8 << 20)
			if n, err := f.WriteAt(want[:2<<20], 0); err != nil {
				t.Fatal(n, err)
			}
			n, err := f.WriteAt(want[2<<20:], 2<<20)
			if err == nil || n > 1<<20 || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%d bytes, %v, want %v", n, err, tt.want)
			}
			got := make([]byte, 2<<20+n)
			if m, err := f.ReadAt(got, 0); m < len(got) || string(got) != string(want[:len(got)]) {
				t.Errorf("ReadAt: %d, %v, or not what was written", m, err)
			}
			if warn := strings.Join(tg.(target.Warner).Warnings(), " "); !strings.Contains(warn, "permissions") || !strings.Contains(warn, "sync") {
				t.Errorf("warnings: %q", warn)
			}
		})
	}
}

func TestReadOnlyServer(t *testing.T) {
	s := &fullServer{Handlers: sftp.InMemHandler()}
	tg := connect(t, s.start(t))
	s.readOnly = true
	if _, err := tg.Create("f"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Create: %v, want EROFS", err)
	}
	if _, err := tg.Create("../f"); errors.Is(err, fs.ErrExist) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
