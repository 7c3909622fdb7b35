//go:build net && ssh

package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

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
	cfg, err := sshtarget.ForPlan(r.Target, readFile)
	if err != nil {
		return nil, err
	}
	// The name is what known_hosts has; the address is what answered.
	cfg.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(at.String(), strconv.Itoa(s.Port)))
	}
	ctx, cancel := r.within(stepLogin, "mount", r.deadlines.Mount)
	defer cancel()
	return openWithin(ctx, fmt.Sprintf("log in to %s@%s", s.User, s.Host), func() (target.Target, error) { return sshtarget.New(ctx, cfg) })
}
