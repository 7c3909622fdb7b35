package hostnet

import (
	"fmt"
	"net/netip"

	"github.com/gokdump/gokdump/capture/plan"
)

// Snapshot is what the host's kernel knows of its network.
type Snapshot struct {
	Links  []Link
	Routes []Route // of the main table
	// DNS and Search are resolv.conf's.
	DNS    []netip.Addr
	Search []string
	// Leased tells whether a DHCP client has a lease for an address.
	Leased func(link Link, a netip.Addr) bool
	// Way gives the kernel's choice of a way to an address.
	Way func(netip.Addr) (Way, error)
}

// Link is one interface.
type Link struct {
	Index int
	Name  string
	// Kind is rtnetlink's: vlan, bond, bridge, …; "device" is hardware, or what
	// has no kind.
	Kind string
	// Ethernet is false for InfiniBand, tunnels and the like.
	Ethernet bool
	// MAC is in use; Permanent is the hardware's own, empty if that does not tell.
	MAC, Permanent string
	MTU            int
	// Path is the device's in sysfs without /sys/devices/; empty when there is
	// no hardware.
	Path string
	// Parent is what a VLAN or macvlan is over; Master is the bond, bridge or
	// team that this is a part of; 0 is none.
	Parent, Master int
	VLAN           plan.VLAN // ID and Protocol, of a vlan
	Bond           plan.Bond // Mode and Options, of a bond
	Addresses      []Address
}

// Address is one of an interface's.
type Address struct {
	netip.Prefix
	// Permanent is false when it has a lifetime.
	Permanent bool
	// Temporary is a privacy address, RFC 8981.
	Temporary bool
}

// Route is one through an interface.
type Route struct {
	plan.Route
	Index int // of the interface
	// Protocol says who set it: RTPROT_ of linux/rtnetlink.h.
	Protocol int
}

// Way is how the kernel would send.
type Way struct {
	Index  int // of the interface
	Via    netip.Addr
	Source netip.Addr
}

func (s *Snapshot) link(index int) (Link, error) {
	for _, l := range s.Links {
		if l.Index == index {
			return l, nil
		}
	}
	return Link{}, fmt.Errorf("the host has no interface of number %d", index)
}

func (s *Snapshot) named(name string) (Link, bool) {
	for _, l := range s.Links {
		if l.Name == name {
			return l, true
		}
	}
	return Link{}, false
}

// parts are what a bond or a bridge is made of.
func (s *Snapshot) parts(index int) []Link {
	var out []Link
	for _, l := range s.Links {
		if l.Master == index {
			out = append(out, l)
		}
	}
	return out
}
