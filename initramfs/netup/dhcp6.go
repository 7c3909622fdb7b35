package netup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
)

// dhcp6 asks until it is answered or ctx ends. Routes come from routers, not by
// DHCPv6.
func (i *iface) dhcp6(ctx context.Context) error {
	for !i.net.k.linkLocal(i.index) {
		if !sleep(ctx) {
			return errors.New("DHCPv6: no link-local address")
		}
	}
	var last error
	for ctx.Err() == nil {
		reply, err := i.request6(ctx)
		if err == nil {
			if err = i.take6(reply); err == nil {
				return nil
			}
		}
		last = err
		i.net.log.Debugf("network: %s: DHCPv6: %v", i.Name, err)
		sleep(ctx)
	}
	return fmt.Errorf("DHCPv6: %w", last)
}

func (i *iface) request6(ctx context.Context) (*dhcpv6.Message, error) {
	c, err := nclient6.New(i.name, nclient6.WithTimeout(dhcpTry), nclient6.WithRetry(1))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	offer, err := c.Solicit(ctx)
	if err != nil {
		return nil, err
	}
	return c.Request(ctx, offer)
}

func (i *iface) take6(reply *dhcpv6.Message) error {
	ia := reply.Options.OneIANA()
	if ia == nil || ia.Options.OneAddress() == nil {
		return errors.New("the server has no address to give")
	}
	a, ok := netip.AddrFromSlice(ia.Options.OneAddress().IPv6Addr)
	if !ok || !a.Is6() || a.Is4In6() {
		return fmt.Errorf("the server gave %v for an address", ia.Options.OneAddress().IPv6Addr)
	}
	i.assign([]netip.Prefix{netip.PrefixFrom(a, 128)}, nil, "DHCPv6")
	var dns []netip.Addr
	for _, d := range reply.Options.DNS() {
		if s, ok := netip.AddrFromSlice(d); ok {
			dns = append(dns, s)
		}
	}
	i.net.learn(dns)
	return nil
}
