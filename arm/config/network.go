package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// anyNIC is the plan's name of the NICs that nobody names.
const anyNIC = "any"

// netParser collects the lines about the network. They are put together when all
// are read, since a line may name what comes below it.
type netParser struct {
	line  int  // of the first word about the network; 0 is none
	auto  bool // network auto
	order []string
	// ifs holds what is known of each interface. NICs are those that are neither
	// VLAN nor bond.
	ifs    map[string]*plan.Interface
	dns    []netip.Addr
	search []string
}

// about notes that a line is about the network.
func (p *parser) about() {
	if p.net.line == 0 {
		p.net.line = p.line
	}
}

// iface gives what is known of a device: a name, a MAC, or "" for any NIC. It
// complains about what is neither.
func (p *parser) iface(device string) (*plan.Interface, bool) {
	p.about()
	i := plan.Interface{Name: device}
	switch mac, err := net.ParseMAC(device); {
	case device == "" || device == anyNIC:
		i.Name, i.NIC = anyNIC, &plan.NIC{Any: true}
	case err == nil && len(mac) == 6:
		i.Name = "nic" + strings.ReplaceAll(mac.String(), ":", "")
		i.NIC = &plan.NIC{MAC: mac.String()}
	case !plan.InterfaceName(device):
		p.errorf("%q is neither the name of a network interface nor its hardware address", clip(device))
		return nil, false
	}
	if known, ok := p.net.ifs[i.Name]; ok {
		return known, true
	}
	if len(p.net.ifs) == plan.MaxInterfaces {
		p.errorf("more than %d network interfaces", plan.MaxInterfaces)
		return nil, false
	}
	if p.net.ifs == nil {
		p.net.ifs = map[string]*plan.Interface{}
	}
	p.net.order = append(p.net.order, i.Name)
	p.net.ifs[i.Name] = &i
	return &i, true
}

// network takes one interface's settings, or words of dracut's command line.
func (p *parser) network(_, value string) {
	p.about()
	f := strings.Fields(value)
	if value == "auto" {
		p.net.auto = true
		return
	}
	if strings.Contains(f[0], "=") {
		for _, w := range f {
			p.dracut(w)
		}
		return
	}
	f, device := p.on(f)
	i, ok := p.iface(device)
	if !ok {
		return
	}
	for len(f) > 0 {
		word := f[0]
		f = f[1:]
		argument := func() string {
			if len(f) == 0 {
				p.errorf("network: %s has no value", word)
				return ""
			}
			a := f[0]
			f = f[1:]
			return a
		}
		switch word {
		case "static":
		case "dhcp", "dhcp4":
			i.DHCP4 = true
		case "dhcp6":
			i.DHCP6 = true
		case "slaac", "auto6":
			i.SLAAC = true
		case "gateway":
			if a := argument(); a != "" {
				p.gateway(i, a)
			}
		case "mtu":
			if a := argument(); a != "" {
				i.MTU, _ = p.number("network: mtu", a, 576, 65535)
			}
		case "mac":
			if a := argument(); a != "" {
				i.MAC = strings.ToLower(a)
			}
		default:
			p.address(i, word)
		}
	}
}

// on takes "on DEVICE" off the end of a line's words.
func (p *parser) on(f []string) (rest []string, device string) {
	if n := len(f); n >= 2 && f[n-2] == "on" {
		return f[:n-2], f[n-1]
	}
	return f, ""
}

func (p *parser) address(i *plan.Interface, s string) {
	a, err := netip.ParsePrefix(s)
	if err != nil {
		p.errorf("network %s is not known: want auto, dhcp, dhcp6, slaac, or an address with the length of its network's prefix, as in 192.0.2.7/24", clip(s))
		return
	}
	i.Addresses = append(i.Addresses, a)
}

func (p *parser) gateway(i *plan.Interface, s string) {
	via, err := netip.ParseAddr(s)
	if err != nil {
		p.errorf("gateway %s is no address", clip(s))
		return
	}
	to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if via.Is6() {
		to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	i.Routes = append(i.Routes, plan.Route{To: to, Via: via})
}

func (p *parser) route(_, value string) {
	f, device := p.on(strings.Fields(value))
	if len(f) != 3 || f[1] != "via" {
		p.errorf("route %s: want route NETWORK via GATEWAY [on DEVICE]", clip(value))
		return
	}
	p.addRoute(f[0], f[2], device)
}

func (p *parser) addRoute(network, gateway, device string) {
	to, err := parseNetwork(network)
	via, gwErr := netip.ParseAddr(gateway)
	if err != nil || gwErr != nil {
		p.errorf("route to %s via %s: want a network as in 198.51.100.0/24, and an address", clip(network), clip(gateway))
		return
	}
	if i, ok := p.iface(device); ok {
		i.Routes = append(i.Routes, plan.Route{To: to, Via: via})
	}
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	return n.Masked(), err
}

func (p *parser) nameserver(_, value string) {
	p.about()
	for _, s := range strings.Fields(value) {
		a, err := netip.ParseAddr(s)
		if err != nil {
			p.errorf("nameserver %s is no address", clip(s))
			continue
		}
		p.net.dns = append(p.net.dns, a)
	}
}

func (p *parser) vlan(_, value string) {
	f, device := p.on(strings.Fields(value))
	if len(f) != 2 || device == "" {
		p.errorf("vlan %s: want vlan NAME ID on DEVICE", clip(value))
		return
	}
	p.addVLAN(f[0], f[1], device)
}

func (p *parser) addVLAN(name, id, device string) {
	n, ok := p.number("vlan "+clip(name), id, 1, 4094)
	if !ok {
		return
	}
	if over, ok := p.iface(device); ok {
		if i, ok := p.iface(name); ok && p.fresh(i) {
			i.VLAN = &plan.VLAN{Over: over.Name, ID: n}
		}
	}
}

func (p *parser) bond(_, value string) {
	f := strings.Fields(value)
	if len(f) < 3 || f[1] != "on" {
		p.errorf("bond %s: want bond NAME on DEVICE,DEVICE... [mode=MODE] [OPTION=VALUE]...", clip(value))
		return
	}
	p.addBond(f[0], f[2], f[3:])
}

func (p *parser) addBond(name, members string, options []string) {
	b := &plan.Bond{Mode: "active-backup"}
	watched := false
	for _, o := range options {
		key, v, _ := strings.Cut(o, "=")
		if n, err := strconv.Atoi(v); key == "mode" && err == nil && n >= 0 && n < len(plan.BondModes()) {
			v = plan.BondModes()[n]
		}
		switch {
		case key == "mode":
			b.Mode = v
		default:
			b.Options = append(b.Options, plan.BondOption{Name: key, Value: v})
		}
		watched = watched || key == "miimon" || key == "arp_interval"
	}
	if !watched { // a dead NIC must be noticed
		b.Options = append([]plan.BondOption{{Name: "miimon", Value: "100"}}, b.Options...)
	}
	for _, m := range strings.Split(members, ",") {
		i, ok := p.iface(m)
		if !ok {
			return
		}
		b.Over = append(b.Over, i.Name)
	}
	if i, ok := p.iface(name); ok && p.fresh(i) {
		i.Bond = b
	}
}

// fresh complains when an interface is a VLAN, a bond or a NIC already.
func (p *parser) fresh(i *plan.Interface) bool {
	if i.VLAN != nil || i.Bond != nil || i.NIC != nil {
		p.errorf("%s is described already", i.Name)
		return false
	}
	return true
}

// SetNetwork replaces what the file says of the network by value, which is as
// behind the word network.
func (c *Config) SetNetwork(value string) error {
	other, err := Parse(strings.NewReader("network "+value+"\n"), "network")
	if err != nil {
		return err
	}
	deadlines := c.NetworkDeadlines
	if c.Network, c.DNS = other.Network, other.DNS; c.Network != nil {
		c.Network.Deadlines = deadlines
	}
	return nil
}

// finishNetwork puts the lines together: NICs first, then what is made of them.
func (p *parser) finishNetwork() {
	if p.net.line == 0 {
		return
	}
	p.line = p.net.line
	n := &plan.Network{DNS: p.net.dns, Search: p.net.search, Deadlines: p.cfg.NetworkDeadlines}
	if p.net.auto || len(p.net.order) == 0 {
		if len(p.net.order) > 0 {
			p.errorf("network auto finds everything out by itself: remove the other lines about interfaces, or this one")
		}
		p.cfg.DNS = p.net.dns
		return
	}
	for rank := range 3 {
		for _, name := range p.net.order {
			i := *p.net.ifs[name]
			kind := 0
			switch {
			case i.Bond != nil:
				kind = 1
			case i.VLAN != nil:
				kind = 2
			case i.NIC == nil:
				i.NIC = &plan.NIC{} // the host knows the rest
			}
			if kind == rank {
				n.Interfaces = append(n.Interfaces, i)
			}
		}
	}
	check := *n
	check.Interfaces = slices.Clone(n.Interfaces)
	for at := range check.Interfaces {
		if nic := check.Interfaces[at].NIC; nic != nil && *nic == (plan.NIC{}) {
			check.Interfaces[at].NIC = &plan.NIC{Path: "this/host's"}
		}
	}
	if err := check.Validate(); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			p.errs.add(&Error{File: p.cfg.Name, Line: p.net.line, Msg: fmt.Sprintf("from here on: %s", strings.TrimPrefix(line, "plan: "))})
		}
		return
	}
	p.cfg.Network = n
}
