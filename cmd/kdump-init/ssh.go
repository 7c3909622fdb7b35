//go:build net && ssh

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/sshtarget"
)

// stepLogin is the step that makes the connection, as a verdict names it.
const stepLogin = "log in"

// openSSH reaches the server and logs in.
func (n *network) openSSH(r request) (target.Target, error) {
	s := r.SSH
	at, err := n.reach(r, s.Host, s.Addresses, s.Port)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(plan.FilePath(s.Key))
	if err != nil {
		return nil, err
	}
	known, err := os.ReadFile(plan.FilePath(s.KnownHosts))
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(s.Port)
	ctx, cancel := r.within(stepLogin, "mount", r.deadlines.Mount)
	defer cancel()
	return openWithin(ctx, fmt.Sprintf("log in to %s@%s", s.User, s.Host), func() (target.Target, error) {
		// The name is what known_hosts has; the address is what answered.
		return sshtarget.New(ctx, sshtarget.Config{
			Addr: net.JoinHostPort(s.Host, port), User: s.User, Path: r.Path, Key: key, KnownHosts: known,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(at.String(), port))
			},
		})
	})
}
