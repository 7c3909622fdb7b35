//go:build net

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
	"github.com/gokdump/gokdump/initramfs/nfs"
	"golang.org/x/sys/unix"
)

// nfsAgain is the time between two tries to mount an export.
const nfsAgain = 2 * time.Second

// openNFS reaches the server and mounts its export.
func (n *network) openNFS(r request) (target.Target, error) {
	r.patient(nfs.Patience(r.Options))
	if mounted(r.dir) {
		r.log.Infof("the target is mounted already")
		return openDir(r)
	}
	at, err := n.reach(r, r.NFS.Host, r.NFS.Addresses, nfs.PortOf(r.Options))
	if err != nil {
		return nil, err
	}
	calls, err := nfs.Calls(*r.NFS, at, r.Options)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := r.within(stepMount, "mount", r.deadlines.Mount)
	defer cancel()
	if err := mountNFS(ctx, r, calls); err != nil {
		return nil, err
	}
	t, err := openDir(r)
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w%s", err, nfs.RootHint)
	}
	return t, err
}

// mountNFS tries each version, and all again where the server may yet come: until
// ctx ends.
func mountNFS(ctx context.Context, r request, calls []nfs.Call) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME
	for {
		var last error
		for _, c := range calls {
			last = boot.Within(ctx, fmt.Sprintf("mount %s (NFS %s) on %s", c.Source, c.Version, r.dir), func() error {
				return boot.Mount(c.Source, r.dir, c.FSType, flags, c.Data)
			})
			if last == nil {
				r.log.Infof("%s is mounted by NFS %s", c.Source, c.Version)
				return nil
			}
			if len(calls) > 1 {
				r.log.Debugf("NFS %s: %v", c.Version, last)
			}
			if !nfs.OtherVersion(last) {
				break
			}
		}
		err := fmt.Errorf("%w%s", last, nfs.Hint(last))
		if !nfs.Transient(last) {
			return err
		}
		r.log.Debugf("%v; once more", err)
		select {
		case <-time.After(nfsAgain):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
