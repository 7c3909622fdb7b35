//go:build net

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gokdump/gokdump/initramfs/boot"
	"github.com/gokdump/gokdump/initramfs/netup"
)

// stepReach is the step that waits for a server, as a verdict names it.
const stepReach = "reach server"

// server puts the plan's words about a server together.
func server(host string, addresses []string, port int) netup.Server {
	s := netup.Server{Host: host, Port: port}
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			s.Addresses = append(s.Addresses, ip)
		}
	}
	return s
}

// ask gives the address at which a server answers, without bringing the network up
// for it: the host, when it is back, can do what is asked for.
func (n *network) ask(ctx context.Context, host string, addresses []string, port int) ([]string, error) {
	if n.up == nil {
		return nil, errors.New("no target needed the network, so it is not up")
	}
	at, err := n.up.Reach(ctx, server(host, addresses, port))
	return []string{at.String()}, err
}

// network is the crash kernel's, brought up for the first target that needs it.
type network struct{ up *netup.Net }

// reach waits until a server answers, and gives the address that did. addresses
// are the plan's.
func (n *network) reach(r request, host string, addresses []string, port int) (netip.Addr, error) {
	if r.network == nil {
		return netip.Addr{}, errors.New("the plan has no network: build the image anew with kdump-mkinitramfs")
	}
	limit := r.network.Deadlines.Whole()
	r.step(stepReach, limit)
	if n.up == nil {
		n.up = netup.Start(context.Background(), r.network, r.log)
	}
	s := server(host, addresses, port)
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("%v have passed", limit))
	defer cancel()
	found := make(chan netip.Addr, 1)
	err := boot.Within(ctx, stepReach, func() error {
		at, err := n.up.Reach(ctx, s)
		found <- at
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	return <-found, nil
}
