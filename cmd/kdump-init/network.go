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
	s := netup.Server{Host: host, Port: port}
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			s.Addresses = append(s.Addresses, ip)
		}
	}
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
