package netup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// lookup asks the plan's DNS servers, and those that DHCP named, one after the
// other.
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
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	names := []string{host}
	if !strings.Contains(host, ".") {
		for _, s := range u.plan.Search {
			names = append(names, host+"."+s)
		}
	}
	var errs []error
	for _, n := range names {
		// Fully qualified, since the image has no resolv.conf to complete it by.
		list, err := resolver(servers).LookupNetIP(ctx, "ip", strings.TrimSuffix(n, ".")+".")
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

// resolver is Go's own, with servers in place of those of resolv.conf. It asks
// anew after each failure, and the next server then.
func resolver(servers []netip.Addr) *net.Resolver {
	var turn atomic.Uint32
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			s := servers[int(turn.Add(1)-1)%len(servers)]
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(s.String(), "53"))
		},
	}
}
