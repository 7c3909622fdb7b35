package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
)

// Network is a plan's part, and what was noticed on the way to it.
type Network struct {
	*plan.Network
	// NICs are the host's names of the hardware that is used.
	NICs []string
	// Notes are for people, a sentence each.
	Notes []string
}

// Detect gives the part of the host's network that leads to servers, which are
// its addresses; deadlines are taken as given.
func (s *Snapshot) Detect(servers []netip.Addr, deadlines plan.NetworkDeadlines, also ...netip.Addr) (*Network, error) {
	d := &detector{s: s, out: &Network{Network: &plan.Network{DNS: s.DNS, Search: s.Search, Deadlines: deadlines}}, done: map[int]string{}}
	ways := 0
	var errs []error
	for _, a := range servers {
		if a.IsLoopback() || a.IsUnspecified() {
			errs = append(errs, fmt.Errorf("%v is the host itself, which is not there when it has crashed", a))
			continue
		}
		if err := d.way(a); err != nil {
			errs = append(errs, err)
			continue
		}
		ways++
	}
	if ways == 0 {
		return nil, errors.Join(errs...)
	}
	for _, err := range errs { // the server has other addresses
		d.note("%v", err)
	}
	for _, a := range also {
		if err := d.way(a); err != nil {
			d.note("%v", err)
		}
	}
	return d.out, nil
}

type detector struct {
	s    *Snapshot
	out  *Network
	done map[int]string // the kernel's index to the plan's name
}

func (d *detector) note(format string, a ...any) {
	if n := fmt.Sprintf(format, a...); !slices.Contains(d.out.Notes, n) {
		d.out.Notes = append(d.out.Notes, n)
	}
}

// way adds the interface by which the host reaches a.
func (d *detector) way(a netip.Addr) error {
	w, err := d.s.Way(a)
	if err != nil {
		return err
	}
	l, err := d.s.link(w.Index)
	if err != nil {
		return err
	}
	if l.Name == "lo" {
		return fmt.Errorf("%v is the host itself, which is not there when it has crashed", a)
	}
	name, err := d.add(l)
	if err != nil {
		return fmt.Errorf("the way to %v is by %s: %w", a, l.Name, err)
	}
	at := slices.IndexFunc(d.out.Interfaces, func(i plan.Interface) bool { return i.Name == name })
	i := &d.out.Interfaces[at]
	if !i.Addressed() {
		d.configure(i, l)
	}
	if !i.Addressed() {
		return fmt.Errorf("the way to %v is by %s, which has no address", a, l.Name)
	}
	d.host(i, a, w)
	return nil
}

// add puts l, and before it what it is made of, into the plan. It gives the plan's
// name of what takes l's place.
func (d *detector) add(l Link) (string, error) {
	if name, ok := d.done[l.Index]; ok {
		return name, nil
	}
	i := plan.Interface{Name: l.Name}
	switch l.Kind {
	case "bridge":
		// A bridge forwards for others; the host itself needs its port only.
		name, err := d.port(l)
		if err == nil {
			d.done[l.Index] = name
		}
		return name, err
	case "macvlan", "ipvlan", "macvtap":
		under, err := d.s.link(l.Parent)
		if err != nil {
			return "", err
		}
		d.note("%s is a %s over %s: the crash kernel uses %s itself", l.Name, l.Kind, under.Name, under.Name)
		name, err := d.add(under)
		if err == nil {
			d.done[l.Index] = name
		}
		return name, err
	case "vlan":
		under, err := d.s.link(l.Parent)
		if err != nil {
			return "", err
		}
		over, err := d.add(under)
		if err != nil {
			return "", err
		}
		v := l.VLAN
		v.Over = over
		i.VLAN = &v
		d.mtu(&i, l)
		if l.MAC != under.MAC {
			i.MAC = l.MAC
		}
	case "bond":
		if err := d.bond(&i, l); err != nil {
			return "", err
		}
		d.mtu(&i, l)
	default:
		if err := d.nic(&i, l); err != nil {
			return "", err
		}
		d.mtu(&i, l)
		if l.Permanent != "" && l.MAC != l.Permanent && l.Master == 0 {
			i.MAC = l.MAC // somebody gave it another
		}
	}
	d.out.Interfaces = append(d.out.Interfaces, i)
	d.done[l.Index] = i.Name
	return i.Name, nil
}

func (d *detector) mtu(i *plan.Interface, l Link) {
	if l.MTU != 1500 && l.MTU >= 576 && l.MTU <= 65535 {
		i.MTU = l.MTU
	}
}

func (d *detector) nic(i *plan.Interface, l Link) error {
	switch {
	case l.Path == "":
		return fmt.Errorf("%s is no hardware but a %s, which the crash kernel does not set up: name the interface with network in kdump.conf", l.Name, l.Kind)
	case !l.Ethernet:
		return fmt.Errorf("%s is no Ethernet interface, and others are not supported", l.Name)
	}
	i.NIC = &plan.NIC{MAC: l.Permanent, Path: l.Path}
	if i.NIC.MAC == "" {
		i.NIC.MAC = l.MAC
	}
	d.out.NICs = append(d.out.NICs, l.Name)
	return nil
}

// port gives what a bridge reaches the world by: hardware, or what is made of it.
func (d *detector) port(bridge Link) (string, error) {
	var real []Link
	for _, p := range d.s.parts(bridge.Index) {
		if p.Path != "" || p.Kind == "bond" || p.Kind == "vlan" {
			real = append(real, p)
		}
	}
	switch len(real) {
	case 0:
		return "", fmt.Errorf("the bridge %s has no port that is hardware", bridge.Name)
	case 1:
	default:
		var names []string
		for _, p := range real {
			names = append(names, p.Name)
		}
		return "", fmt.Errorf("the bridge %s has several ports to the outside (%s): name one with network in kdump.conf", bridge.Name, strings.Join(names, ", "))
	}
	d.note("%s is a bridge: the crash kernel uses its port %s itself", bridge.Name, real[0].Name)
	return d.add(real[0])
}

func (d *detector) bond(i *plan.Interface, l Link) error {
	b := plan.Bond{Mode: l.Bond.Mode, Options: slices.Clone(l.Bond.Options)}
	for _, p := range d.s.parts(l.Index) {
		name, err := d.add(p)
		if err != nil {
			return err
		}
		b.Over = append(b.Over, name)
	}
	if len(b.Over) == 0 {
		return errors.New("it is a bond of no interfaces")
	}
	// A bond takes the address of the first that comes, which may be another one
	// in the crash kernel; and DHCP servers and switches know this one.
	i.MAC = l.MAC
	i.Bond = &b
	return nil
}
