package hostnet

import (
	"fmt"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// Describe says what a network is, for people, a line for each interface.
func Describe(n *plan.Network) []string {
	var out []string
	for _, i := range n.Interfaces {
		out = append(out, describe(i))
	}
	var dns []string
	for _, d := range n.DNS {
		dns = append(dns, d.String())
	}
	if len(dns) > 0 {
		out = append(out, "DNS "+strings.Join(dns, ", "))
	}
	return out
}

func describe(i plan.Interface) string {
	var b strings.Builder
	switch {
	case i.NIC != nil && i.NIC.Any:
		b.WriteString("any NIC")
	case i.NIC != nil:
		fmt.Fprintf(&b, "%s, NIC %s at %s", i.Name, or(i.NIC.MAC), or(i.NIC.Path))
	case i.VLAN != nil:
		fmt.Fprintf(&b, "%s, VLAN %d over %s", i.Name, i.VLAN.ID, i.VLAN.Over)
	case i.Bond != nil:
		fmt.Fprintf(&b, "%s, bond (%s) over %s", i.Name, i.Bond.Mode, strings.Join(i.Bond.Over, ", "))
		for _, o := range i.Bond.Options {
			fmt.Fprintf(&b, " %s=%s", o.Name, o.Value)
		}
	}
	if i.MTU != 0 {
		fmt.Fprintf(&b, ", MTU %d", i.MTU)
	}
	for _, w := range []struct {
		name string
		on   bool
	}{{"DHCP", i.DHCP4}, {"DHCPv6", i.DHCP6}, {"SLAAC", i.SLAAC}} {
		if w.on {
			b.WriteString(": " + w.name)
		}
	}
	write(&b, i.Addresses, i.Routes)
	if i.Lease != nil {
		b.WriteString("; when nobody answers")
		write(&b, i.Lease.Addresses, i.Lease.Routes)
	}
	return b.String()
}

func write[P fmt.Stringer](b *strings.Builder, addresses []P, routes []plan.Route) {
	for _, a := range addresses {
		b.WriteString(" " + a.String())
	}
	for _, r := range routes {
		to := r.To.String()
		if r.To.Bits() == 0 {
			to = "default"
		}
		b.WriteString(", " + to)
		if r.Via.IsValid() {
			b.WriteString(" via " + r.Via.String())
		}
	}
}

func or(s string) string {
	if s == "" {
		return "?"
	}
	return s
}
