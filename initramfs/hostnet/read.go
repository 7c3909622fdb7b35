package hostnet

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Read asks the running kernel. root is the host's file system, for resolv.conf
// and leases.
func Read(root fs.FS) (*Snapshot, error) {
	s := &Snapshot{Way: way}
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, n := range links {
		l := linkOf(n)
		for _, a := range addresses {
			if a.LinkIndex == l.Index {
				l.Addresses = append(l.Addresses, addressOf(a))
			}
		}
		s.Links = append(s.Links, l)
	}
	for i := range s.Links {
		if l := &s.Links[i]; l.Kind == "bond" {
			l.Bond = readBond(filepath.Join(sysNet, l.Name, "bonding"))
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			s.Routes = append(s.Routes, routesOf(r, family)...)
		}
	}
	s.DNS, s.Search = readResolv(root)
	s.Leased = func(l Link, a netip.Addr) bool { return leasedIn(root, l, a) }
	return s, nil
}

const sysNet = "/sys/class/net"

func linkOf(n netlink.Link) Link {
	a := n.Attrs()
	l := Link{Index: a.Index, Name: a.Name, Kind: n.Type(), Ethernet: a.EncapType == "ether",
		MAC: a.HardwareAddr.String(), MTU: a.MTU, Parent: a.ParentIndex, Master: a.MasterIndex}
	if len(a.PermHWAddr) == 6 {
		l.Permanent = a.PermHWAddr.String()
	} else if b, err := os.ReadFile(filepath.Join(sysNet, a.Name, "bonding_slave/perm_hwaddr")); err == nil {
		l.Permanent = strings.TrimSpace(string(b))
	}
	if dir, err := filepath.EvalSymlinks(filepath.Join(sysNet, a.Name, "device")); err == nil {
		_, l.Path, _ = strings.Cut(dir, "/devices/")
	}
	if v, ok := n.(*netlink.Vlan); ok {
		l.VLAN.ID = v.VlanId
		if v.VlanProtocol == netlink.VLAN_PROTOCOL_8021AD {
			l.VLAN.Protocol = "802.1ad"
		}
	}
	return l
}

func addressOf(a netlink.Addr) Address {
	ip, _ := netip.AddrFromSlice(a.IP)
	ones, _ := a.Mask.Size()
	return Address{
		Prefix:    netip.PrefixFrom(ip.Unmap(), ones),
		Permanent: a.Flags&unix.IFA_F_PERMANENT != 0,
		Temporary: ip.Is6() && a.Flags&unix.IFA_F_TEMPORARY != 0,
	}
}

// routesOf gives a route, one for each interface of a multipath one.
func routesOf(r netlink.Route, family int) []Route {
	to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if family == netlink.FAMILY_V6 {
		to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if r.Dst != nil && r.Dst.IP != nil {
		ip, _ := netip.AddrFromSlice(r.Dst.IP)
		ones, _ := r.Dst.Mask.Size()
		to = netip.PrefixFrom(ip.Unmap(), ones).Masked()
	}
	one := func(index int, gw []byte) Route {
		via, _ := netip.AddrFromSlice(gw)
		return Route{Route: plan.Route{To: to, Via: via.Unmap()}, Index: index, Protocol: int(r.Protocol)}
	}
	if len(r.MultiPath) == 0 {
		return []Route{one(r.LinkIndex, r.Gw)}
	}
	var out []Route
	for _, h := range r.MultiPath {
		out = append(out, one(h.LinkIndex, h.Gw))
	}
	return out
}

func way(a netip.Addr) (Way, error) {
	list, err := netlink.RouteGet(a.AsSlice())
	if err != nil || len(list) == 0 {
		return Way{}, fmt.Errorf("the host has no route to %v: %w", a, err)
	}
	via, _ := netip.AddrFromSlice(list[0].Gw)
	source, _ := netip.AddrFromSlice(list[0].Src)
	return Way{Index: list[0].LinkIndex, Via: via.Unmap(), Source: source.Unmap()}, nil
}
