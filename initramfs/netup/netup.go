// Package netup brings the crash kernel's network up as the plan says: it finds
// NICs by their hardware addresses, makes bonds and VLANs, gets addresses, and
// waits until a server answers.
//
// It owns these steps and the deadline of each. All interfaces are worked on at
// once, so that a dead one among them costs nothing: whoever waits for a server
// goes on as soon as that answers. It decides nothing; what is to be had, and
// what is used when nobody gives an address, is in the plan. It loads no modules
// and never takes anything down: the reboot does.
//
// Facts: rtnetlink(7), Documentation/networking/bonding.rst and ip-sysctl.rst,
// RFC 2131 (DHCP), RFC 8415 (DHCPv6), RFC 4862 (SLAAC).
package netup

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// Times of waits.
const (
	pollEvery = 100 * time.Millisecond
	// dhcpTry is how long one try may take; some servers first ping the address
	// that they are about to offer.
	dhcpTry = 6 * time.Second
)

// Log takes lines about what happens; boot.Log is one.
type Log interface {
	Infof(format string, a ...any)
	Warnf(format string, a ...any)
	Debugf(format string, a ...any)
}

// Net is a network that comes up, or is up.
type Net struct {
	plan *plan.Network
	log  Log
	k    kernel
	// ask is how a DNS server is asked for the first of some names that it knows.
	ask func(ctx context.Context, server netip.Addr, names []string) ([]netip.Addr, error)
	// settled is closed when each interface has got where it gets.
	settled chan struct{}

	mu    sync.Mutex
	ifs   []*iface
	taken map[int]bool // NICs by the kernel's index
	dns   []netip.Addr // from DHCP and routers
}

// Start begins to bring n up and returns at once. What is still under way when
// ctx ends is given up.
func Start(ctx context.Context, n *plan.Network, log Log) *Net { return start(ctx, n, log, system{}) }

func start(ctx context.Context, n *plan.Network, log Log, k kernel) *Net {
	u := &Net{plan: n, log: log, k: k, ask: ask, settled: make(chan struct{}), taken: map[int]bool{}}
	if err := k.prepare(); err != nil {
		log.Warnf("network: %v", err)
	}
	byName := map[string]*iface{}
	var wg sync.WaitGroup
	for at, x := range n.Interfaces {
		i := &iface{net: u, Interface: x, order: at, made: make(chan struct{}), state: "waiting"}
		byName[x.Name] = i
		u.ifs = append(u.ifs, i)
	}
	for _, i := range u.ifs {
		if b := i.Bond; b != nil {
			for _, o := range b.Over {
				i.below = append(i.below, byName[o])
				byName[o].master = i
			}
		} else if i.VLAN != nil {
			i.below = []*iface{byName[i.VLAN.Over]}
		}
	}
	u.mu.Lock() // NICs that stand for any come in while this goes on
	list := append([]*iface(nil), u.ifs...)
	u.mu.Unlock()
	for _, i := range list {
		wg.Go(func() {
			if err := boot.Guard(func() error { i.run(ctx); return nil }); err != nil {
				i.fail("%v", err)
			}
		})
	}
	go func() {
		wg.Wait()
		close(u.settled)
	}()
	return u
}

// String says how far each interface got, for people.
func (u *Net) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for _, i := range u.ifs {
		if i.master == nil || i.dead {
			out = append(out, i.describe())
		}
	}
	return strings.Join(out, "; ")
}

// iface is one of the plan's interfaces on its way up.
type iface struct {
	plan.Interface
	net    *Net
	order  int
	below  []*iface
	master *iface // the bond that takes it
	// made is closed when it is there and up, or never will be.
	made chan struct{}

	// The rest is net.mu's.
	index  int    // the kernel's; 0 while there is none
	name   string // the kernel's
	state  string // how far it got
	dead   bool   // it will not get any further
	gained []string
}

// describe needs net.mu.
func (i *iface) describe() string {
	s := i.Name
	if i.name != "" && i.name != i.Name {
		s += " (here " + i.name + ")"
	}
	if i.NIC != nil && i.NIC.MAC != "" {
		s += " " + i.NIC.MAC
	}
	s += ": " + i.state
	if len(i.gained) > 0 {
		s += ", " + strings.Join(i.gained, ", ")
	}
	return s
}

func (i *iface) set(format string, a ...any) {
	i.net.mu.Lock()
	defer i.net.mu.Unlock()
	i.state = fmt.Sprintf(format, a...)
}

// give up on i, for a reason.
func (i *iface) fail(format string, a ...any) {
	i.net.mu.Lock()
	i.state, i.dead = fmt.Sprintf(format, a...), true
	line := i.describe()
	i.net.mu.Unlock()
	i.net.log.Warnf("network: %s", line)
}

// gain notes an address.
func (i *iface) gain(p netip.Prefix, how string) {
	i.net.mu.Lock()
	defer i.net.mu.Unlock()
	i.gained = append(i.gained, fmt.Sprintf("%v (%s)", p, how))
	i.net.log.Infof("network: %s: %v (%s)", i.Name, p, how)
}
