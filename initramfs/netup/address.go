package netup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// firstMetric is the metric of the first interface's routes; each next one's is
// higher, so that the plan's order decides.
const firstMetric = 100

// runAddresses gives i its addresses: the fixed ones at once, those that must be
// asked for when it has a carrier. link ends at the deadline for that.
func (i *iface) runAddresses(ctx, link context.Context) {
	i.assign(i.Addresses, i.Routes, "fixed")
	if !i.DHCP4 && !i.DHCP6 && !i.SLAAC {
		if i.carrier(link) {
			i.set("up")
		}
		return
	}
	if !i.carrier(link) {
		return
	}
	i.set("up")
	d := i.net.plan.Deadlines.Address
	ctx, cancel := context.WithTimeoutCause(ctx, d.Duration(), fmt.Errorf("deadline %q of %v has passed", "address", d.Duration()))
	defer cancel()
	var wg sync.WaitGroup
	var errs [2]error
	if i.DHCP4 {
		wg.Go(func() { errs[0] = i.obtain("DHCP", netip.Addr.Is4, func() error { return i.dhcp4(ctx) }) })
	}
	if i.DHCP6 || i.SLAAC {
		wg.Go(func() { errs[1] = i.obtain("IPv6", netip.Addr.Is6, func() error { return i.automatic6(ctx) }) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		i.set("%v", err)
	}
}

// obtain asks for addresses, and where nobody gives any falls back on those of the
// same family that the host had.
func (i *iface) obtain(what string, family func(netip.Addr) bool, ask func() error) error {
	err := boot.Guard(ask)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, err)
	i.net.log.Warnf("network: %s: %v", i.Name, err)
	if i.Lease == nil {
		return err
	}
	var had []netip.Prefix
	for _, a := range i.Lease.Addresses {
		if family(a.Addr()) {
			had = append(had, a)
		}
	}
	if len(had) == 0 {
		return err
	}
	var routes []plan.Route
	for _, r := range i.Lease.Routes {
		if family(r.To.Addr()) {
			routes = append(routes, r)
		}
	}
	i.assign(had, routes, "which the host had before")
	return err
}

// carrier waits for one, until link ends.
func (i *iface) carrier(ctx context.Context) bool {
	for {
		l, err := i.net.k.link(i.index)
		if err != nil {
			i.fail("%v", err)
			return false
		}
		if l.running {
			return true
		}
		i.set("no carrier")
		if !sleep(ctx) {
			i.fail("no carrier for %v", i.net.plan.Deadlines.Link.Duration())
			return false
		}
	}
}

// assign sets addresses and routes. Each is tried.
func (i *iface) assign(addresses []netip.Prefix, routes []plan.Route, how string) {
	for _, a := range addresses {
		if err := i.net.k.address(i.index, a); err != nil {
			i.net.log.Warnf("network: %s: %v", i.Name, err)
			continue
		}
		i.gain(a, how)
	}
	for _, r := range routes {
		if err := i.net.k.route(i.index, r, firstMetric+i.order); err != nil {
			i.net.log.Warnf("network: %s: %v", i.Name, err)
		}
	}
}

// automatic6 waits for what routers give, and asks DHCPv6 where that is wanted.
func (i *iface) automatic6(ctx context.Context) error {
	asked := make(chan error, 1)
	if i.DHCP6 {
		go func() { asked <- i.dhcp6(ctx) }()
	}
	var last error
	for {
		select {
		case last = <-asked:
			if last == nil {
				return nil
			}
		default:
		}
		if i.SLAAC {
			have, err := i.net.k.addresses(i.index)
			if err != nil {
				return err
			}
			fresh := false
			for _, a := range have {
				if !contains(i.Addresses, a.Addr()) {
					i.gain(a, "SLAAC")
					fresh = true
				}
			}
			if fresh {
				return nil
			}
		}
		if !sleep(ctx) {
			return errors.Join(fmt.Errorf("no address: %w", context.Cause(ctx)), last)
		}
	}
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// learn takes DNS servers that somebody on the network names.
func (u *Net) learn(servers []netip.Addr) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range servers {
		if s.IsValid() && len(u.dns) < 8 {
			u.dns = append(u.dns, s)
		}
	}
}
