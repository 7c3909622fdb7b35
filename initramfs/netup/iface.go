package netup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
)

// run takes i as far as it gets.
func (i *iface) run(ctx context.Context) {
	link, cancel := context.WithTimeout(ctx, i.net.plan.Deadlines.Link.Duration())
	defer cancel()
	if i.NIC != nil && i.NIC.Any {
		i.runAny(ctx, link)
		return
	}
	err := i.make(ctx, link)
	close(i.made)
	if err != nil {
		i.fail("%v", err)
		return
	}
	if i.master != nil {
		i.set("in %s", i.master.Name)
		return
	}
	if i.Addressed() {
		i.runAddresses(ctx, link)
	} else {
		i.set("up")
	}
}

// runAny does the same for each NIC that nobody names and that is there before the
// deadline.
func (i *iface) runAny(ctx, link context.Context) {
	close(i.made)
	u := i.net
	var running []chan struct{}
	for {
		for _, l := range i.free() {
			n := &iface{Interface: i.Interface, net: u, order: i.order + len(running), made: make(chan struct{})}
			n.Name = l.name
			n.NIC = &plan.NIC{MAC: l.mac}
			done := make(chan struct{})
			running = append(running, done)
			u.mu.Lock()
			u.ifs = append(u.ifs, n)
			n.index, n.name = l.index, l.name
			u.mu.Unlock()
			go func() {
				defer close(done)
				if err := n.bringUp(); err != nil {
					n.fail("%v", err)
					return
				}
				n.runAddresses(ctx, link)
			}()
		}
		i.set("stands for %d NICs", len(running))
		if !sleep(link) {
			break
		}
	}
	for _, d := range running {
		<-d
	}
}

// free takes the NICs that nobody names.
func (i *iface) free() []link {
	u := i.net
	all, err := u.k.links()
	if err != nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []link
	for _, l := range all {
		named := slices.ContainsFunc(u.plan.Interfaces, func(p plan.Interface) bool {
			return p.NIC != nil && !p.NIC.Any && (p.NIC.MAC == l.mac || p.NIC.MAC == "" && p.NIC.Path == l.path)
		})
		if l.ethernet && l.path != "" && !named && !u.taken[l.index] {
			u.taken[l.index] = true
			out = append(out, l)
		}
	}
	return out
}

// make finds or makes the interface and sets it up; link ends at the deadline for
// that.
func (i *iface) make(ctx, link context.Context) error {
	switch {
	case i.NIC != nil:
		return i.makeNIC(link)
	case i.VLAN != nil:
		return i.makeVLAN(link)
	}
	return i.makeBond(ctx)
}

func (i *iface) makeNIC(ctx context.Context) error {
	var all []link
	for {
		var err error
		if all, err = i.net.k.links(); err != nil {
			return err
		}
		if l, ok := match(*i.NIC, all); ok {
			i.is(l.index, l.name)
			break
		}
		if !sleep(ctx) {
			return fmt.Errorf("no such NIC: there are: %s", describe(all))
		}
	}
	if i.master != nil {
		return nil // the bond sets it up
	}
	return i.bringUp()
}

// is notes the kernel's name.
func (i *iface) is(index int, name string) {
	i.net.mu.Lock()
	defer i.net.mu.Unlock()
	i.index, i.name = index, name
}

// match finds a NIC by its MAC, or where its device is. Bonds and VLANs have the
// MACs of what they are over, but no device.
func match(n plan.NIC, all []link) (link, bool) {
	for _, l := range all {
		if n.MAC != "" && l.mac == n.MAC && l.path != "" {
			return l, true
		}
	}
	for _, l := range all {
		if n.Path != "" && l.path == n.Path {
			return l, true
		}
	}
	return link{}, false
}

func describe(all []link) string {
	var out []string
	for _, l := range all {
		if l.path != "" {
			out = append(out, fmt.Sprintf("%s %s at %s", l.name, l.mac, l.path))
		}
	}
	if len(out) == 0 {
		return "none (is the driver in the image?)"
	}
	return strings.Join(out, ", ")
}

// bringUp sets what must be set before, and then i up. Only the latter counts.
func (i *iface) bringUp() error {
	k := i.net.k
	if err := k.configure(i.index, i.MAC, i.MTU); err != nil {
		i.net.log.Warnf("network: %s: %v", i.Name, err)
	}
	wants6 := i.SLAAC || i.DHCP6
	for _, a := range i.Addresses {
		wants6 = wants6 || a.Addr().Is6()
	}
	for _, s := range []struct{ name, value string }{
		{"accept_dad", "0"}, // the addresses are this host's, and time counts
		{"accept_ra", zeroOne(wants6)},
		{"autoconf", zeroOne(i.SLAAC)},
		{"router_solicitation_delay", "0"},
	} {
		if err := k.sysctl("ipv6/conf/"+i.name+"/"+s.name, s.value); err != nil && wants6 {
			i.net.log.Warnf("network: %s: %v", i.Name, err)
		}
	}
	return k.up(i.index)
}

func zeroOne(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (i *iface) makeVLAN(ctx context.Context) error {
	over := i.below[0]
	index, err := over.wait(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("kdump%d", i.order)
	if index, err = i.net.k.vlan(name, index, *i.VLAN); err != nil {
		return err
	}
	i.is(index, name)
	return i.bringUp()
}

// wait gives the kernel's index as soon as i is there.
func (i *iface) wait(ctx context.Context) (int, error) {
	select {
	case <-i.made:
	case <-ctx.Done():
		return 0, fmt.Errorf("%s is not there", i.Name)
	}
	i.net.mu.Lock()
	defer i.net.mu.Unlock()
	if i.index == 0 {
		return 0, fmt.Errorf("%s is not there", i.Name)
	}
	return i.index, nil
}

// sleep waits for a moment, and tells whether ctx goes on.
func sleep(ctx context.Context) bool {
	t := time.NewTimer(pollEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var errNoMember = errors.New("none of its NICs is there")
