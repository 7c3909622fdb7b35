// Package nfsd runs a real NFS server, nfs-ganesha from Debian, for the tests: on the
// loopback address only, where a guest reaches it through QEMU's user network at
// 10.0.2.2, or at fec0::2 for IPv6.
//
// It owns the server's configuration and its life. Everything that the server
// writes lies in one folder; its view of /run and /var/lib/nfs is its own, since
// it insists on registering with a portmapper, and on keeping state there. It
// needs root, by sudo if must be.
//
// Facts: ganesha-config(8), ganesha-core-config(8), ganesha-export-config(8),
// unshare(1).
package nfsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu/debian"
)

// Export is the name of the one export.
const Export = "/export"

// startTime is how long a server may take to listen, on a busy machine.
const startTime = 60 * time.Second

// Options describe a server. The zero value is one that lets root write.
type Options struct {
	// V6 has it listen on ::1 instead of 127.0.0.1.
	V6 bool
	// RootSquash maps root to nobody, and gives nobody no right to write.
	RootSquash bool
	// ReadOnly exports for reading only.
	ReadOnly bool
}

// Server is one that runs, or did.
type Server struct {
	// Dir is the exported directory.
	Dir string
	// Port is where it serves NFS, MountPort where version 3 mounts; both are TCP.
	Port, MountPort int

	folder string
	host   string
	cmd    *exec.Cmd
	stdin  io.Closer
	ended  chan struct{}
}

// Start runs a server with its files in folder, which must exist and be on a disk.
func Start(ctx context.Context, folder string, o Options) (*Server, error) {
	s := &Server{folder: folder, Dir: filepath.Join(folder, "export"), host: "127.0.0.1"}
	if o.V6 {
		s.host = "::1"
	}
	for _, port := range []*int{&s.Port, &s.MountPort} {
		l, err := net.Listen("tcp", net.JoinHostPort(s.host, "0"))
		if err != nil {
			return nil, fmt.Errorf("nfsd: %w", err)
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	for _, d := range []string{s.Dir, filepath.Join(folder, "state")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("nfsd: %w", err)
		}
	}
	if err := os.WriteFile(s.path("ganesha.conf"), []byte(s.config(o)), 0o644); err != nil {
		return nil, fmt.Errorf("nfsd: %w", err)
	}
	return s, s.Restart(ctx)
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) config(o Options) string {
	squash, access := "No_Root_Squash", "RW"
	if o.RootSquash {
		squash = "Root_Squash"
	}
	if o.ReadOnly {
		access = "RO"
	}
	return fmt.Sprintf(`NFS_CORE_PARAM {
	Bind_addr = %s; NFS_Port = %d; MNT_Port = %d;
	Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; Protocols = 3, 4;
	mount_path_pseudo = true;
}
NFSV4 { RecoveryBackend = fs; Lease_Lifetime = 10; Grace_Period = 12; Minor_Versions = 0, 1, 2; }
NFS_KRB5 { Active_krb5 = false; }
EXPORT {
	Export_Id = 1; Path = %s; Pseudo = %s; Access_Type = %s; SecType = sys; Squash = %s;
	FSAL { Name = VFS; }
}
`, s.host, s.Port, s.MountPort, s.Dir, Export, access, squash)
}

// script runs the portmapper in a network of its own, so that nobody else ever sees
// it, and the server beside it. It ends with its input, and all of it with it: it
// is process 1 of its own process IDs.
const script = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/rpcbind /var/lib/nfs
mount -t tmpfs tmpfs /var/lib/nfs
mkdir /var/lib/nfs/ganesha
mount --bind "$1/state" /var/lib/nfs/ganesha
unshare -n rpcbind -f </dev/null &
while ! [ -S /run/rpcbind.sock ]; do sleep 0.1; done
ganesha.nfsd -F -f "$1/ganesha.conf" -L "$1/ganesha.log" -p /run/ganesha.pid </dev/null &
cat >/dev/null
`

// Restart runs the server again, with the state that it had when it was killed.
func (s *Server) Restart(ctx context.Context) error {
	argv := debian.AsRoot("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "nfsd", s.folder)
	out, err := os.OpenFile(s.path("server.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("nfsd: %w", err)
	}
	defer out.Close()
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "LC_ALL=C")
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("nfsd: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("nfsd: %w", err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(s.cmd, s.ended)

	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("it does not listen"))
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
		if err == nil {
			return c.Close()
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-s.ended:
			return fmt.Errorf("nfsd: the server ended; see %s:\n%s", s.folder, s.log())
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("nfsd: %w; see %s:\n%s", context.Cause(ctx), s.folder, s.log())
		}
	}
}

// log is the end of what the server said.
func (s *Server) log() string {
	var all []byte
	for _, name := range []string{"server.out", "ganesha.log"} {
		b, _ := os.ReadFile(s.path(name))
		all = append(all, b...)
	}
	lines := strings.Split(strings.TrimSpace(string(all)), "\n")
	return strings.Join(lines[max(len(lines)-12, 0):], "\n")
}

// Kill ends the server as a power cut would: at once, in the middle of whatever it
// does.
func (s *Server) Kill() {
	if s.stdin != nil {
		s.stdin.Close()
		<-s.ended
		s.stdin = nil
	}
}

// Remove ends the server and removes its folder, in which parts are root's.
func (s *Server) Remove(ctx context.Context) error {
	s.Kill()
	if os.Geteuid() == 0 {
		return os.RemoveAll(s.folder)
	}
	_, err := debian.RunRoot(ctx, "rm", "-rf", s.folder)
	return err
}

// Addr is where it serves NFS.
func (s *Server) Addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.Port)) }

// Readable gives the exported files to the user who runs this.
func (s *Server) Readable(ctx context.Context) error {
	if os.Geteuid() == 0 {
		return nil
	}
	_, err := debian.RunRoot(ctx, "chown", "-R", strconv.Itoa(os.Getuid()), s.Dir)
	return err
}
