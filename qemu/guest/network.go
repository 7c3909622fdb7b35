package main

import (
	"context"
	"time"

	"github.com/gokdump/gokdump/initramfs/netup"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/vishvananda/netlink"
)

// networkTime bounds the guest's own network; leaseTime is how long its addresses
// are its own, in seconds.
const (
	networkTime = 90 * time.Second
	leaseTime   = 86400
)

// network sets up what the guest's distribution would on a real machine, with the
// crash kernel's own means.
func network(n *script.Network) error {
	ctx, cancel := context.WithTimeout(context.Background(), networkTime)
	defer cancel()
	if _, err := netup.Start(context.Background(), &n.Plan, sayer{}).Reach(ctx, netup.Server{Host: n.Server, Port: n.Port}); err != nil {
		return err
	}
	if !n.Leased {
		return nil
	}
	// A DHCP client of a distribution tells the kernel how long a lease lasts, by
	// which others know that it is one.
	list, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.IP.IsLoopback() {
			continue
		}
		a.ValidLft, a.PreferedLft = leaseTime, leaseTime
		link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: a.LinkIndex}}
		a.Label = ""
		if err := netlink.AddrReplace(link, &a); err != nil {
			return err
		}
	}
	return nil
}

// sayer is a log on the console.
type sayer struct{}

func (sayer) Infof(format string, a ...any)  { say(format, a...) }
func (sayer) Warnf(format string, a ...any)  { say(format, a...) }
func (sayer) Debugf(format string, a ...any) {}
