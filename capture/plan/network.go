package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxInterfaces bounds the interfaces of a plan.
const MaxInterfaces = 64

// Network is how the crash kernel reaches the servers of its targets.
type Network struct {
	// Interfaces are brought up all at once. One that is made of others stands
	// behind them. 1 to [MaxInterfaces].
	Interfaces []Interface `json:"interfaces"`
	// DNS are the servers to ask when none of the addresses that a host's name
	// stood for answers; Search are the domains to try a short name in.
	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`
	// Deadlines bound the steps.
	Deadlines NetworkDeadlines `json:"deadlines"`
}

// NetworkDeadlines bound the steps of bringing a network up.
type NetworkDeadlines struct {
	// Link is how long a NIC may take to appear and to have a carrier.
	Link Seconds `json:"link"`
	// Address is how long it may then take to have an address.
	Address Seconds `json:"address"`
	// Route is how long a server may then take to answer at all.
	Route Seconds `json:"route"`
}

// DefaultNetworkDeadlines suit a switch whose ports first listen for half a
// minute, as the spanning tree protocol has them do.
func DefaultNetworkDeadlines() NetworkDeadlines {
	return NetworkDeadlines{
		Link:    Seconds(30 * time.Second),
		Address: Seconds(60 * time.Second),
		Route:   Seconds(60 * time.Second),
	}
}

// Whole is the longest that it takes until a server answers, or is known not to:
// beside the deadlines, DNS may be asked once more.
func (d NetworkDeadlines) Whole() time.Duration {
	return d.Link.Duration() + d.Address.Duration() + d.Route.Duration() + 20*time.Second
}

// Interface is one network interface: a NIC, a VLAN or a bond.
type Interface struct {
	// Name is what the plan calls it, mostly as the host did. The crash kernel
	// may have another name for it.
	Name string `json:"name"`
	// Exactly one of these is set.
	NIC  *NIC  `json:"nic,omitempty"`
	VLAN *VLAN `json:"vlan,omitempty"`
	Bond *Bond `json:"bond,omitempty"`
	// MAC, if not empty, is the hardware address to give it.
	MAC string `json:"mac,omitempty"`
	// MTU in bytes; 0 leaves the kernel's.
	MTU int `json:"mtu,omitempty"`
	// DHCP4, DHCP6 and SLAAC are ways to get addresses, any of them together.
	DHCP4 bool `json:"dhcp4,omitempty"`
	DHCP6 bool `json:"dhcp6,omitempty"`
	SLAAC bool `json:"slaac,omitempty"`
	// Addresses are those that it has in any case, with the length of their
	// networks' prefixes.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	// Routes go through it, in any case.
	Routes []Route `json:"routes,omitempty"`
	// Lease is what the host got, and is used when nobody gives an address.
	Lease *Lease `json:"lease,omitempty"`
}

// NIC names hardware, in a way that outlives a renaming.
type NIC struct {
	// MAC is the permanent hardware address.
	MAC string `json:"mac,omitempty"`
	// Path is where sysfs has the device, without /sys/devices/; it counts only
	// when no NIC has the MAC.
	Path string `json:"path,omitempty"`
	// Any stands for each NIC that the plan does not name, however many there
	// are; MAC and Path are then empty.
	Any bool `json:"any,omitempty"`
}

// VLAN is an interface whose packets carry a tag.
type VLAN struct {
	// Over is the name of the interface that carries it.
	Over string `json:"over"`
	// ID is the tag, 1 to 4094.
	ID int `json:"id"`
	// Protocol is 802.1q, which empty means too, or 802.1ad.
	Protocol string `json:"protocol,omitempty"`
}

// Bond makes one interface of several; see the kernel's
// Documentation/networking/bonding.rst.
type Bond struct {
	// Over are the names of NICs.
	Over []string `json:"over"`
	// Mode is one of [BondModes].
	Mode string `json:"mode"`
	// Options are set in this order, before the bond is up.
	Options []BondOption `json:"options,omitempty"`
}

// BondOption is a setting of the kernel's bonding driver.
type BondOption struct {
	// Name is one of [BondOptions]; the value of primary is the name of an
	// interface of the plan.
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Route leads to other networks.
type Route struct {
	// To is the destination; 0.0.0.0/0 or ::/0 is the default route.
	To netip.Prefix `json:"to"`
	// Via is the gateway; the zero Addr means that To is on the link.
	Via netip.Addr `json:"via,omitzero"`
}

// Lease is what DHCP or a router gave.
type Lease struct {
	Addresses []netip.Prefix `json:"addresses"`
	Routes    []Route        `json:"routes,omitempty"`
}

// BondModes lists the modes of bonds.
func BondModes() []string {
	return []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}
}

// BondOptions lists the options of bonds beside the mode.
func BondOptions() []string {
	return []string{"miimon", "updelay", "downdelay", "use_carrier", "xmit_hash_policy", "lacp_rate", "lacp_active",
		"ad_select", "ad_actor_sys_prio", "ad_actor_system", "ad_user_port_key", "min_links", "fail_over_mac",
		"arp_interval", "arp_ip_target", "arp_validate", "arp_all_targets", "primary", "primary_reselect",
		"all_slaves_active", "num_grat_arp", "num_unsol_na", "peer_notif_delay", "resend_igmp",
		"packets_per_slave", "tlb_dynamic_lb", "lp_interval"}
}

// Validate reports everything that is wrong with n, joined, as far as its own
// text tells.
func (n *Network) Validate() error {
	var errs []error
	n.validate(func(format string, a ...any) { errs = append(errs, fmt.Errorf("plan: "+format, a...)) })
	return errors.Join(errs...)
}

func (n *Network) validate(bad complaint) {
	if c := len(n.Interfaces); c < 1 || c > MaxInterfaces {
		bad("network: %d interfaces is not within 1 and %d", c, MaxInterfaces)
	}
	before := map[string]Interface{}
	masters := map[string]string{} // of the interfaces that are in a bond
	addressed := false
	for _, i := range n.Interfaces {
		i.validate(before, masters, func(format string, a ...any) { bad("network interface %q: "+format, append([]any{i.Name}, a...)...) })
		before[i.Name] = i
		addressed = addressed || i.Addressed()
	}
	for name := range masters {
		if before[name].Addressed() {
			bad("network interface %q is part of a bond and has addresses of its own", name)
		}
	}
	if !addressed {
		bad("network: no interface has an address or a way to get one")
	}
	for _, a := range n.DNS {
		if !usable(a) {
			bad("network: DNS server %v is no host's address", a)
		}
	}
	for _, s := range n.Search {
		if s == "" || len(s) > 253 || strings.ContainsAny(s, " \t\n\x00/") {
			bad("network: %q is no domain to search", s)
		}
	}
	for _, x := range []struct {
		name string
		s    Seconds
	}{{"link", n.Deadlines.Link}, {"address", n.Deadlines.Address}, {"route", n.Deadlines.Route}} {
		if x.s <= 0 {
			bad("network deadline %q is missing: everything must end", x.name)
		}
	}
}

// Addressed tells whether i has an address or a way to get one.
func (i Interface) Addressed() bool {
	return i.DHCP4 || i.DHCP6 || i.SLAAC || len(i.Addresses) > 0
}

func (i Interface) validate(before map[string]Interface, masters map[string]string, bad complaint) {
	if !InterfaceName(i.Name) {
		bad("want a name of 1 to 15 characters without spaces, slashes and colons")
	}
	if _, ok := before[i.Name]; ok {
		bad("the name is there twice")
	}
	kinds := 0
	if i.NIC != nil {
		kinds++
		i.NIC.validate(bad)
	}
	if i.VLAN != nil {
		kinds++
		i.VLAN.validate(before, bad)
	}
	if i.Bond != nil {
		kinds++
		i.Bond.validate(i.Name, before, masters, bad)
	}
	if kinds != 1 {
		bad("it is %d of nic, vlan and bond: want one", kinds)
	}
	if i.MAC != "" && !unicastMAC(i.MAC) {
		bad("%q is no hardware address to give", i.MAC)
	}
	if i.MTU != 0 && (i.MTU < 576 || i.MTU > 65535) {
		bad("MTU %d is not within 576 and 65535", i.MTU)
	}
	validateAddresses(i.Addresses, i.Routes, bad)
	if i.Lease != nil {
		if len(i.Lease.Addresses) == 0 {
			bad("a lease without an address")
		}
		validateAddresses(i.Lease.Addresses, i.Lease.Routes, bad)
	}
}

func (n *NIC) validate(bad complaint) {
	switch {
	case n.Any && (n.MAC != "" || n.Path != ""):
		bad("any NIC has neither a MAC nor a path")
	case !n.Any && n.MAC == "" && n.Path == "":
		bad("the NIC has neither a MAC nor a path")
	case n.MAC != "" && !unicastMAC(n.MAC):
		bad("%q is no NIC's hardware address", n.MAC)
	case n.Path != "" && (!cleanAbs("/"+n.Path) || n.Path == ""):
		bad("path %q of the device is not clean and relative", n.Path)
	}
}

func (v *VLAN) validate(before map[string]Interface, bad complaint) {
	if over, ok := before[v.Over]; !ok {
		bad("the VLAN is over %q, which does not stand before it", v.Over)
	} else if over.NIC != nil && over.NIC.Any {
		bad("a VLAN cannot be over any NIC: name one")
	}
	if v.ID < 1 || v.ID > 4094 {
		bad("VLAN %d is not within 1 and 4094", v.ID)
	}
	if p := v.Protocol; p != "" && p != "802.1q" && p != "802.1ad" {
		bad("VLAN protocol %q is neither 802.1q nor 802.1ad", p)
	}
}

func (b *Bond) validate(name string, before map[string]Interface, masters map[string]string, bad complaint) {
	if len(b.Over) == 0 {
		bad("a bond of no interfaces")
	}
	for _, o := range b.Over {
		if nic := before[o].NIC; nic == nil || nic.Any {
			bad("the bond is over %q, which is no NIC that stands before it", o)
		}
		if m, ok := masters[o]; ok {
			bad("the bond is over %q, which is in %q already", o, m)
		}
		masters[o] = name
	}
	if !slices.Contains(BondModes(), b.Mode) {
		bad("bond mode %q is none of %s", b.Mode, strings.Join(BondModes(), ", "))
	}
	for i, o := range b.Options {
		switch {
		case !slices.Contains(BondOptions(), o.Name):
			bad("bond option %q is not known", o.Name)
		case slices.ContainsFunc(b.Options[:i], func(p BondOption) bool { return p.Name == o.Name }):
			bad("bond option %s is there twice", o.Name)
		case o.Value == "" || len(o.Value) > 256 || strings.ContainsAny(o.Value, " \t\n\x00"):
			bad("bond option %s cannot be %q", o.Name, o.Value)
		case o.Name == "primary" && !slices.Contains(b.Over, o.Value):
			bad("the primary %q is not in the bond", o.Value)
		}
	}
}

func validateAddresses(addresses []netip.Prefix, routes []Route, bad complaint) {
	for i, a := range addresses {
		if !a.IsValid() || !usable(a.Addr()) {
			bad("%v is no address of an interface", a)
		} else if slices.ContainsFunc(addresses[:i], func(b netip.Prefix) bool { return b.Addr() == a.Addr() }) {
			bad("address %v is there twice", a)
		}
	}
	for _, r := range routes {
		switch {
		case !r.To.IsValid() || r.To != r.To.Masked():
			bad("route to %v: want a network's address and the length of its prefix", r.To)
		case r.Via.IsValid() && (!usable(r.Via) && !r.Via.IsLinkLocalUnicast() || r.Via.Is4() != r.To.Addr().Is4()):
			bad("route to %v: %v is no gateway for it", r.To, r.Via)
		}
	}
}

// usable tells whether a is an address that one host has.
func usable(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// InterfaceName tells whether s may name an interface, as the kernel's
// dev_valid_name, net/core/dev.c, does.
func InterfaceName(s string) bool {
	return s != "" && len(s) <= 15 && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == '/' || r == ':' || r > '~'
	})
}

// unicastMAC takes six bytes as aa:bb:cc:dd:ee:ff, in lower case.
func unicastMAC(s string) bool {
	if len(s) != 17 || s == "00:00:00:00:00:00" || strings.IndexByte("02468ace", s[1]) < 0 {
		return false
	}
	for i := range len(s) {
		if i%3 == 2 && s[i] != ':' || i%3 != 2 && strings.IndexByte("0123456789abcdef", s[i]) < 0 {
			return false
		}
	}
	return true
}
