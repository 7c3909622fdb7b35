package netup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// dhcp4 asks until it is answered or ctx ends.
func (i *iface) dhcp4(ctx context.Context) error {
	var last error
	for ctx.Err() == nil {
		ack, err := i.request4(ctx)
		if err == nil {
			i.take4(ack)
			return nil
		}
		last = err
		i.net.log.Debugf("network: %s: DHCP: %v", i.Name, err)
		sleep(ctx)
	}
	if errors.Is(last, nclient4.ErrNoResponse) || errors.Is(last, context.DeadlineExceeded) {
		return fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", last, context.Cause(ctx))
}

func (i *iface) request4(ctx context.Context) (*dhcpv4.DHCPv4, error) {
	c, err := nclient4.New(i.name, nclient4.WithTimeout(dhcpTry), nclient4.WithRetry(1))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	lease, err := c.Request(ctx,
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer,
			dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionInterfaceMTU))
	if err != nil {
		return nil, err
	}
	return lease.ACK, nil
}

// take4 does what the answer says. The address is kept for good: a capture that
// takes longer than a lease must not lose it.
func (i *iface) take4(ack *dhcpv4.DHCPv4) {
	p, routes := lease4(ack)
	i.assign([]netip.Prefix{p}, routes, fmt.Sprintf("DHCP from %v, for %v", ack.ServerIdentifier(), ack.IPAddressLeaseTime(0).Round(time.Second)))
	var dns []netip.Addr
	for _, d := range ack.DNS() {
		dns = append(dns, addr4(d))
	}
	i.net.learn(dns)
}

// lease4 gives the address and the routes of an answer. Classless routes replace
// the default gateway, RFC 3442.
func lease4(ack *dhcpv4.DHCPv4) (netip.Prefix, []plan.Route) {
	a := addr4(ack.YourIPAddr)
	mask := ack.SubnetMask()
	if len(mask) != 4 {
		mask = ack.YourIPAddr.DefaultMask()
	}
	bits, _ := mask.Size()
	if bits == 0 {
		bits = 32
	}
	var routes []plan.Route
	for _, r := range ack.ClasslessStaticRoute() {
		ones, _ := r.Dest.Mask.Size()
		x := plan.Route{To: netip.PrefixFrom(addr4(r.Dest.IP), ones).Masked()}
		if via := addr4(r.Router); !via.IsUnspecified() {
			x.Via = via
		}
		if x.To.IsValid() {
			routes = append(routes, x)
		}
	}
	if gw := ack.Router(); len(routes) == 0 && len(gw) > 0 {
		routes = append(routes, plan.Route{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: addr4(gw[0])})
	}
	return netip.PrefixFrom(a, bits), routes
}

func addr4(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip.To4())
	return a
}
