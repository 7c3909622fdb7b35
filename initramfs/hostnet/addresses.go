package hostnet

import (
	"net/netip"
	"slices"

	"github.com/gokdump/gokdump/capture/plan"
)

// Who set a route, include/uapi/linux/rtnetlink.h.
const (
	protoKernel = 2
	protoRA     = 9
	protoDHCP   = 16
)

// maxRoutes bounds the routes that are taken over: a host with more is a router.
const maxRoutes = 32

// configure takes over the addresses of l, and how they came about.
func (d *detector) configure(i *plan.Interface, l Link) {
	lease := plan.Lease{}
	for _, a := range l.Addresses {
		switch {
		case a.Addr().IsLinkLocalUnicast(), a.Addr().IsLoopback(), a.Temporary:
			continue
		case a.Addr().Is4() && (!a.Permanent || d.leased(l, a.Addr())):
			i.DHCP4 = true
			lease.Addresses = append(lease.Addresses, a.Prefix)
		case a.Addr().Is6() && !a.Permanent && a.Bits() == 128:
			i.DHCP6 = true
			lease.Addresses = append(lease.Addresses, a.Prefix)
		case a.Addr().Is6() && !a.Permanent:
			i.SLAAC = true
			lease.Addresses = append(lease.Addresses, a.Prefix)
		default:
			i.Addresses = append(i.Addresses, a.Prefix)
		}
	}
	taken := 0
	for _, r := range d.s.Routes {
		if r.Index != l.Index || r.Protocol == protoKernel || r.To.Addr().IsLinkLocalUnicast() || r.To.Addr().IsMulticast() {
			continue
		}
		if taken++; taken > maxRoutes {
			d.note("%s has more than %d routes: the others are left out", l.Name, maxRoutes)
			break
		}
		if given(*i, r) {
			lease.Routes = append(lease.Routes, r.Route)
		} else {
			i.Routes = append(i.Routes, r.Route)
		}
	}
	if len(lease.Addresses) > 0 {
		i.Lease = &lease
	}
}

func (d *detector) leased(l Link, a netip.Addr) bool { return d.s.Leased != nil && d.s.Leased(l, a) }

// given tells whether a route came with an address that i asks for, and will do so
// again. Some DHCP clients do not mark theirs.
func given(i plan.Interface, r Route) bool {
	switch {
	case r.Protocol == protoRA:
		return i.SLAAC || i.DHCP6
	case r.Protocol == protoDHCP:
		return i.DHCP4
	case r.To.Bits() == 0:
		return r.To.Addr().Is4() && i.DHCP4 || r.To.Addr().Is6() && i.SLAAC
	}
	return false
}

// host adds a route to one address where the interface's own routes would not
// take the way that the host takes now: policies may have a hand in it.
func (d *detector) host(i *plan.Interface, a netip.Addr, w Way) {
	all := slices.Clone(i.Routes)
	networks := slices.Clone(i.Addresses)
	if i.Lease != nil {
		all = append(all, i.Lease.Routes...)
		networks = append(networks, i.Lease.Addresses...)
	}
	for _, n := range networks {
		all = append(all, plan.Route{To: n.Masked()})
	}
	best, bits := netip.Addr{}, -1
	for _, r := range all {
		if r.To.Contains(a) && r.To.Bits() > bits {
			best, bits = r.Via, r.To.Bits()
		}
	}
	if bits >= 0 && best == w.Via {
		return
	}
	r := plan.Route{To: netip.PrefixFrom(a, a.BitLen()), Via: w.Via}
	if !slices.Contains(i.Routes, r) {
		i.Routes = append(i.Routes, r)
	}
}
