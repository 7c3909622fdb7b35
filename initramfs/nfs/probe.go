package nfs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"golang.org/x/sys/unix"
)

// ErrNotTried says that [Probe] could not even try, which says nothing about the
// server.
var ErrNotTried = errors.New("the export was not tried")

// Probe mounts an export on the running host, as the crash kernel will, makes the
// directory dir in it, and writes and removes a file there. It gives the version
// that was spoken. Nobody else sees the mount: it is in a namespace of its own.
// Where this process may not mount, or the kernel knows no NFS, the error is
// [ErrNotTried]. It ends with ctx; what is under way then ends by itself, since
// the mount is soft.
func Probe(ctx context.Context, n plan.NFS, at netip.Addr, options, dir string) (version string, err error) {
	calls, err := Calls(n, at, merged(options))
	if err != nil {
		return "", err
	}
	type answer struct {
		version string
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		// The thread has namespaces of its own, so it is not given back.
		runtime.LockOSThread()
		v, err := probe(calls, dir)
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.version, a.err
	case <-ctx.Done():
		return "", fmt.Errorf("%s:%s does not answer: %w", n.Host, n.Export, context.Cause(ctx))
	}
}

// merged has less patience than a dump.
func merged(options string) string {
	return strings.Trim(options+",timeo=50,retrans=1", ",")
}

func probe(calls []Call, dir string) (string, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return "", fmt.Errorf("%w: unshare: %w", ErrNotTried, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("%w: make mounts private: %w", ErrNotTried, err)
	}
	on, err := os.MkdirTemp("", "gokdump-nfs")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotTried, err)
	}
	defer os.Remove(on)
	var c Call
	for _, c = range calls {
		if err = unix.Mount(c.Source, on, c.FSType, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, c.Data); err == nil || !OtherVersion(err) {
			break
		}
	}
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) {
		return "", fmt.Errorf("%w: mount %s: %w", ErrNotTried, c.Source, err)
	}
	if err != nil {
		return "", fmt.Errorf("mount %s: %w%s", c.Source, err, Hint(err))
	}
	defer func() { _ = unix.Unmount(on, unix.MNT_DETACH) }()
	if err := write(filepath.Join(on, path.Clean("/"+dir))); err != nil {
		return c.Version, fmt.Errorf("%s is mounted, but root of this host cannot write there: %w%s", c.Source, err, writeHint(err))
	}
	return c.Version, nil
}

// write proves that a file can be made, written through and removed in dir.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".gokdump-probe-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("gokdump: this file may be removed\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// writeHint says what to do about an error of writing there.
func writeHint(err error) string {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return RootHint
	case errors.Is(err, unix.EROFS):
		return " (the server exports it for reading only)"
	}
	return ""
}

// RootHint says what to do when a server does not let root write.
const RootHint = " (the server does not let root of this machine write there: export it with no_root_squash, or give the directory to the user that root is mapped to)"
