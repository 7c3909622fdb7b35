package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/netswitch"
	"github.com/gokdump/gokdump/qemu/nfsd"
	"github.com/gokdump/gokdump/qemu/relay"
)

// A dump to a server is of about a hundred MiB, which take a dozen seconds on the way:
// what breaks after the first quarter breaks in the middle, on any machine.
const (
	slowWay  = 8 << 20  // bytes in a second
	inCopy   = 24 << 20 // bytes
	plainRaw = "codec none\n"
)

// back is how long a server, or a cable, is gone that comes back.
const back = 20 * time.Second

// scene is a fault's place: its servers, and the story that they are in.
type scene struct {
	*stand
	story *lab.Story
	// left gives what is on the server; nil means that there is none.
	left func(context.Context) ([]lab.Left, error)
	way  *relay.Relay
}

// breaks has do called when the machine has panicked, with its monitor.
func (s *scene) breaks(do func(ctx context.Context, q *qemu.QMP) error) {
	socket := filepath.Join(s.TempDir(), "m")
	s.story.Extra = append(s.story.Extra, qemu.QMPArgs(socket)...)
	s.story.Talk = func(ctx context.Context, _ *qemu.VM) error {
		q, err := qemu.DialQMP(ctx, socket)
		if err != nil {
			return err
		}
		defer q.Close()
		return do(ctx, q)
	}
}

// inCopy waits until the copy is under way.
func (s *scene) inCopy(ctx context.Context) error {
	select {
	case <-s.way.Reached(inCopy):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cable pulls or plugs the cable.
func cable(ctx context.Context, q *qemu.QMP, up bool) error {
	_, err := q.Do(ctx, "set_link", map[string]any{"name": "nic-a", "up": up})
	return err
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// toNFS is a dump to an NFS server, and to the disk when that fails. do, if not nil,
// breaks it.
func toNFS(version string, o nfsd.Options, words string, do func(context.Context, *scene, *nfsd.Server, *qemu.QMP) error) func(*scene) error {
	return func(s *scene) error {
		srv, err := nfsd.Start(s.ctx, s.TempDir(), o)
		if err != nil {
			return err
		}
		s.Cleanup(func() { _ = srv.Remove(context.WithoutCancel(s.ctx)) })
		if s.way, err = relay.New(srv.Addr(), slowWay); err != nil {
			return err
		}
		s.Cleanup(s.way.Down)
		s.story.Config = lab.NFSConfig(lab.AtGateway, version, s.way.Port(), srv.MountPort) + plainRaw + lab.OnUserNetwork + words + lab.DiskConfig
		s.story.Extra = lab.UserNIC("a", lab.NICA)
		s.left = func(ctx context.Context) ([]lab.Left, error) {
			srv.Kill()
			if err := srv.Readable(ctx); err != nil {
				return nil, err
			}
			return lab.LeftIn(srv.Dir + lab.CrashDir)
		}
		if do != nil {
			s.breaks(func(ctx context.Context, q *qemu.QMP) error { return do(ctx, s, srv, q) })
		}
		return nil
	}
}

// The ways to break NFS.

func killed(_ context.Context, s *scene, srv *nfsd.Server, _ *qemu.QMP) error {
	s.way.Down()
	srv.Kill()
	return nil
}

func killedInCopy(ctx context.Context, s *scene, srv *nfsd.Server, q *qemu.QMP) error {
	err := s.inCopy(ctx)
	return errors.Join(err, killed(ctx, s, srv, q))
}

func killedAndBack(ctx context.Context, s *scene, srv *nfsd.Server, q *qemu.QMP) error {
	err := killedInCopy(ctx, s, srv, q)
	wait(ctx, back)
	return errors.Join(err, srv.Restart(ctx), s.way.Up())
}

func pulled(ctx context.Context, s *scene, _ *nfsd.Server, q *qemu.QMP) error {
	return errors.Join(s.inCopy(ctx), cable(ctx, q, false))
}

func pulledAndBack(ctx context.Context, s *scene, srv *nfsd.Server, q *qemu.QMP) error {
	err := pulled(ctx, s, srv, q)
	wait(ctx, back)
	return errors.Join(err, cable(ctx, q, true))
}

// silentDHCP is a network on which nobody answers DHCP.
func silentDHCP(s *scene) error {
	if err := toNFS("4.2", nfsd.Options{}, "timeout address 8s\n", nil)(s); err != nil {
		return err
	}
	sw, err := netswitch.New(s.TempDir(), netswitch.Port{NoDHCP: true}, netswitch.Port{})
	if err != nil {
		return err
	}
	s.Cleanup(func() { _ = sw.Close() })
	s.story.Extra = []string{
		"-netdev", sw.Netdev(0, "a"), "-device", "virtio-net-pci,netdev=a,mac=" + lab.NICA,
		"-netdev", "user,id=slirp", "-netdev", sw.Netdev(1, "uplink"),
		"-netdev", "hubport,id=h0,hubid=0,netdev=slirp", "-netdev", "hubport,id=h1,hubid=0,netdev=uplink",
	}
	return nil
}

// toSSH is a dump to an SSH server, and to the disk when that fails.
func toSSH(words string, do func(s *scene, srv *sshd.Server)) func(*scene) error {
	return func(s *scene) error {
		srv := sshd.Start(s, sshd.Options{})
		var err error
		if s.way, err = relay.New(srv.Addr, slowWay); err != nil {
			return err
		}
		s.Cleanup(s.way.Down)
		port := strconv.Itoa(s.way.Port())
		dumps := filepath.Join(s.TempDir(), "dumps")
		s.story.Config = lab.SSHConfig(srv.User, port, dumps) + plainRaw + lab.OnUserNetwork + words + lab.DiskConfig
		s.story.Files = lab.SSHFiles(srv.Key, srv.KnownHostsAt(net.JoinHostPort(lab.AtGateway, port)))
		s.story.Extra = lab.UserNIC("a", lab.NICA)
		s.left = func(context.Context) ([]lab.Left, error) { return lab.LeftIn(dumps) }
		do(s, srv)
		return nil
	}
}

func newHostKey(_ *scene, srv *sshd.Server) { srv.ChangeHostKey() }

func pulledSSH(s *scene, _ *sshd.Server) {
	s.breaks(func(ctx context.Context, q *qemu.QMP) error {
		err := errors.Join(s.inCopy(ctx), cable(ctx, q, false))
		wait(ctx, back)
		return errors.Join(err, cable(ctx, q, true))
	})
}

// toS3 is a dump to an S3 server, and to the disk when that fails. Before a request
// reaches the server, do may answer it, which it says by true; parts is how many parts
// of uploads came before it. secret is what the machine knows.
func toS3(secret string, do func(w http.ResponseWriter, r *http.Request, parts int) bool) func(*scene) error {
	return func(s *scene) error {
		srv := s3d.Start(s, false)
		to, err := url.Parse(srv.Endpoint)
		if err != nil {
			return err
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		var mu sync.Mutex
		parts := 0
		front := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			n := parts
			if r.URL.Query().Has("partNumber") {
				parts++
			}
			mu.Unlock()
			if do == nil || !do(w, r, n) {
				proxy.ServeHTTP(w, r)
			}
		})}
		go func() { _ = front.Serve(l) }()
		s.Cleanup(func() { _ = front.Close() })
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return err
		}
		s.story.Config = lab.S3Config("http", port, s3d.Bucket+"/of/smoke") + lab.OnUserNetwork + lab.DiskConfig
		s.story.Files = lab.S3Files(s3d.AccessKey, secret, nil)
		s.story.Extra = lab.UserNIC("a", lab.NICA)
		s.story.Reserve = "256M"
		s.left = func(context.Context) ([]lab.Left, error) {
			if n := srv.Uploads(); n > 0 {
				return nil, fmt.Errorf("%d uploads were left unfinished", n)
			}
			return lab.LeftIn(filepath.Join(srv.Objects, "of", "smoke"))
		}
		return nil
	}
}

// The ways to break S3.

func s3Error(w http.ResponseWriter, status int, code string) bool {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>a fault</Message><RequestId>42</RequestId></Error>")
	return true
}

// failing answers 500 for a while, from the second part of an upload on.
func failing() func(http.ResponseWriter, *http.Request, int) bool {
	var once sync.Once
	var until time.Time
	return func(w http.ResponseWriter, _ *http.Request, parts int) bool {
		if parts < 1 {
			return false
		}
		once.Do(func() { until = time.Now().Add(back) })
		return time.Now().Before(until) && s3Error(w, http.StatusInternalServerError, "InternalError")
	}
}

// dead breaks every connection from the second part of an upload on.
func dead(_ http.ResponseWriter, r *http.Request, parts int) bool {
	if parts > 0 && r.Method != http.MethodDelete { // an upload can be given up
		panic(http.ErrAbortHandler)
	}
	return false
}

// slowly takes its time for each request.
func slowly(_ http.ResponseWriter, r *http.Request, _ int) bool {
	wait(r.Context(), 3*time.Second)
	return false
}

// remote are the faults of servers and of the way to them.
func remote() []fault {
	return []fault{
		{name: "NFS server dead", about: "before it is mounted; the disk is the second target", serve: toNFS("4.2", nfsd.Options{}, "timeout mount 15s\n", killed),
			want: []end{complete}, says: []string{"no NFS server listens there", nextTarget}, warns: "target nfs"},
		{name: "NFS 4.1 server dies", about: "in the copy; the disk is the second target", serve: toNFS("4.1", nfsd.Options{}, "", killedInCopy),
			want: []end{complete}, says: []string{nextTarget}, warns: "target nfs"},
		{name: "NFS 3 server dies", about: "in the copy; the disk is the second target", serve: toNFS("3", nfsd.Options{}, "", killedInCopy),
			want: []end{complete}, says: []string{nextTarget}, warns: "target nfs"},
		{name: "NFS 4.2 server dies and is back", about: "in the copy, back after 20 s", serve: toNFS("4.2", nfsd.Options{}, "", killedAndBack),
			want: []end{complete}, onServer: true},
		{name: "cable pulled, NFS 4.2", about: "in the copy; the disk is the second target", serve: toNFS("4.2", nfsd.Options{}, "", pulled),
			want: []end{complete}, says: []string{nextTarget}, warns: "target nfs"},
		{name: "cable pulled for 20 s, NFS 3", about: "in the copy", serve: toNFS("3", nfsd.Options{}, "", pulledAndBack),
			want: []end{complete}, onServer: true},
		{name: "NFS root squashed", about: "root may not write there; the disk is the second target", serve: toNFS("4.2", nfsd.Options{RootSquash: true}, "", nil),
			want: []end{complete}, says: []string{"no_root_squash", nextTarget}, warns: "target nfs"},
		{name: "DHCP silent", about: "nobody answers within 8 s; the disk is the second target", serve: silentDHCP,
			want: []end{complete}, says: []string{"DHCP: no answer", nextTarget}, warns: "target nfs"},
		{name: "SSH host key changed", about: "the server has another key than known_hosts says; the disk is the second target", serve: toSSH("timeout mount 20s\n", newHostKey),
			want: []end{complete}, says: []string{nextTarget}, warns: "host key"},
		{name: "cable pulled for 20 s, SSH", about: "in the copy", serve: toSSH("", pulledSSH),
			want: []end{complete}, onServer: true},
		{name: "S3 answers 500", about: "for 20 s, in the upload", serve: toS3(s3d.SecretKey, failing()),
			want: []end{complete}, onServer: true},
		{name: "S3 is slow", about: "3 s for each request", serve: toS3(s3d.SecretKey, slowly),
			want: []end{complete}, onServer: true},
		{name: "S3 dies", about: "in the upload; the disk is the second target", serve: toS3(s3d.SecretKey, dead),
			want: []end{complete}, says: []string{nextTarget}, warns: "target s3"},
		{name: "S3 denies", about: "the key is wrong; the disk is the second target", serve: toS3("wrong", nil),
			want: []end{complete}, says: []string{nextTarget}, warns: "target s3"},
	}
}

// nextTarget is what the console says when one is given up.
const nextTarget = "now the next target"
