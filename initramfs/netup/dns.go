package netup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// lookup asks the plan's DNS servers, and those that DHCP named.
func (u *Net) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil, nil
	}
	u.mu.Lock()
	servers := append(slices.Clone(u.plan.DNS), u.dns...)
	u.mu.Unlock()
	if len(servers) == 0 {
		return nil, fmt.Errorf("look up %s: no DNS server is known", host)
	}
	names := []string{host}
	if !strings.Contains(host, ".") {
		for _, s := range u.plan.Search {
			names = append(names, host+"."+s)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return firstAnswer(servers, func(server netip.Addr) ([]netip.Addr, error) { return u.ask(ctx, server, names) })
}

// firstAnswer asks all servers at once, each everything, and takes what the first in
// their order that knows says: one that is silent, or does not know a name of the
// site's own, hides nothing that another knows.
func firstAnswer(servers []netip.Addr, ask func(server netip.Addr) ([]netip.Addr, error)) ([]netip.Addr, error) {
	type answer struct {
		list []netip.Addr
		err  error
	}
	answers := make([]chan answer, len(servers))
	for i, s := range servers {
		answers[i] = make(chan answer, 1)
		go func() {
			list, err := ask(s)
			answers[i] <- answer{list, err}
		}()
	}
	var errs []error
	for i, c := range answers {
		a := <-c
		if a.err == nil {
			return a.list, nil
		}
		errs = append(errs, fmt.Errorf("DNS server %v: %w", servers[i], a.err))
	}
	return nil, errors.Join(errs...)
}

// ask asks one server for the addresses of the first of the names that it knows.
func ask(ctx context.Context, server netip.Addr, names []string) ([]netip.Addr, error) {
	r := &net.Resolver{
		PreferGo: true, // with this server in place of those of resolv.conf
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(server.String(), "53"))
		},
	}
	var errs []error
	for _, n := range names {
		// Fully qualified, since the image has no resolv.conf to complete it by.
		list, err := r.LookupNetIP(ctx, "ip", strings.TrimSuffix(n, ".")+".")
		if err == nil {
			for i := range list {
				list[i] = list[i].Unmap()
			}
			return list, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
