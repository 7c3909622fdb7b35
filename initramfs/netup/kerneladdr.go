package netup

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// address is set for good, and without waiting whether another host has it: it
// is this one's.
func (system) address(index int, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return wrap(fmt.Sprintf("set the address %v", p), netlink.AddrReplace(byIndex(index), a))
}

func (system) addresses(index int) ([]netip.Prefix, error) {
	var out []netip.Prefix
	err := eachAddress6(index, func(a netlink.Addr, p netip.Prefix) {
		if a.Scope == int(netlink.SCOPE_UNIVERSE) || a.Scope == int(netlink.SCOPE_SITE) {
			out = append(out, p)
		}
	})
	return out, err
}

func (system) linkLocal(index int) bool {
	found := false
	_ = eachAddress6(index, func(_ netlink.Addr, p netip.Prefix) { found = found || p.Addr().IsLinkLocalUnicast() })
	return found
}

func eachAddress6(index int, f func(netlink.Addr, netip.Prefix)) error {
	list, err := netlink.AddrList(byIndex(index), netlink.FAMILY_V6)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range list {
		if a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			continue
		}
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			ones, _ := a.Mask.Size()
			f(a, netip.PrefixFrom(ip, ones))
		}
	}
	return nil
}

// route goes by a gateway on the link, whether or not an address's prefix says
// that the gateway is there.
func (system) route(index int, r plan.Route, metric int) error {
	n := &netlink.Route{LinkIndex: index, Dst: ipNet(r.To), Priority: metric, Scope: netlink.SCOPE_LINK}
	if r.Via.IsValid() {
		n.Gw, n.Scope = r.Via.AsSlice(), netlink.SCOPE_UNIVERSE
		n.Flags = int(netlink.FLAG_ONLINK)
	}
	return wrap(fmt.Sprintf("set the route to %v", r.To), netlink.RouteReplace(n))
}

// gateway is that of the interface's own way to an address; not valid when that is
// on the link, or there is none.
func (system) gateway(index int, to netip.Addr) netip.Addr {
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{OifIndex: index})
	if err != nil || len(routes) == 0 {
		return netip.Addr{}
	}
	gw, _ := netip.AddrFromSlice(routes[0].Gw)
	return gw.Unmap()
}
