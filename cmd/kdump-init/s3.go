//go:build net && s3

package main

import (
	"context"
	"net"
	"strconv"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/s3target"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// stepStore is the step that gets the store ready, as a verdict names it.
const stepStore = "open store"

// s3Memory is what the parts of an upload may take, in bytes: a third of what there
// is, since page cache, which needs most of it elsewhere, has no use here. At least
// what the target needs; at most what is good for dumps of 312 GiB. They are taken as
// they are needed, so a small dump has less.
func s3Memory(available uint64) int64 {
	return int64(min(max(available/3, s3target.MinMemory), 192<<20))
}

// openS3 reaches the store.
func (n *network) openS3(r request) (target.Target, error) {
	cfg, err := s3target.ForPlan(r.Target, readFile)
	if err != nil {
		return nil, err
	}
	host, addresses := r.Target.Server()
	port := s3target.Port(r.S3.Endpoint)
	at, err := n.reach(r, host, *addresses, port)
	if err != nil {
		return nil, err
	}
	if available, err := boot.Available(); err == nil {
		cfg.Memory = s3Memory(available)
		boot.AddToLimit(cfg.Memory)
		r.log.Infof("the parts of an upload may take %d of %d MiB of memory", cfg.Memory>>20, available>>20)
		if most := cfg.Memory + boot.MinMemoryLimit; uint64(most) > available {
			r.log.Warnf("they may need %d MiB, so that memory may run out: reserve more with crashkernel=", most>>20)
		}
	}
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		// The name, which may have the bucket before it, is for TLS and the
		// signature; the address is what answered.
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(at.String(), strconv.Itoa(port)))
	}
	ctx, cancel := r.within(stepStore, "mount", r.deadlines.Mount)
	defer cancel()
	return openWithin(ctx, "open "+r.S3.Endpoint, func() (target.Target, error) { return s3target.New(ctx, cfg) })
}
