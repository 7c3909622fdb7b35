package hostnet

import (
	"fmt"
	"slices"

	"github.com/gokdump/gokdump/capture/plan"
)

// Resolve completes a network that a person described: NICs that have but a name
// get the hardware address and the place that the host's interface of that name
// has.
func (s *Snapshot) Resolve(n *plan.Network) (*Network, error) {
	out := *n
	out.Interfaces = slices.Clone(n.Interfaces)
	r := &Network{Network: &out}
	for at := range out.Interfaces {
		i := &out.Interfaces[at]
		if i.NIC == nil {
			continue
		}
		if i.NIC.Any {
			for _, l := range s.Links {
				if l.Path != "" && l.Ethernet {
					r.NICs = append(r.NICs, l.Name)
				}
			}
			continue
		}
		l, ok := s.nic(*i)
		if !ok {
			if i.NIC.MAC == "" && i.NIC.Path == "" {
				return nil, fmt.Errorf("the host has no network interface %s", i.Name)
			}
			r.Notes = append(r.Notes, fmt.Sprintf("the host has no NIC %s now, so its driver is not known: name it with extra_modules", i.NIC.MAC))
			continue
		}
		if l.Path == "" || !l.Ethernet {
			return nil, fmt.Errorf("%s is no Ethernet NIC but a %s: name what it is made of", l.Name, l.Kind)
		}
		nic := plan.NIC{MAC: l.Permanent, Path: l.Path}
		if nic.MAC == "" {
			nic.MAC = l.MAC
		}
		i.NIC = &nic
		r.NICs = append(r.NICs, l.Name)
	}
	if len(out.DNS) == 0 {
		out.DNS, out.Search = s.DNS, s.Search
	}
	return r, nil
}

func (s *Snapshot) nic(i plan.Interface) (Link, bool) {
	if i.NIC.MAC == "" {
		return s.named(i.Name)
	}
	for _, l := range s.Links {
		if l.Path != "" && (l.Permanent == i.NIC.MAC || l.Permanent == "" && l.MAC == i.NIC.MAC) {
			return l, true
		}
	}
	return Link{}, false
}
