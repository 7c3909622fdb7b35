package netup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// fake is a kernel with NICs that are there or not. What it takes for sending is the
// test host's own network: only loopback addresses are asked for.
type fake struct {
	mu   sync.Mutex
	all  []link
	done []string
	slow map[string]int // NICs that appear after so many looks
	v6   []netip.Prefix
}

func (f *fake) note(format string, a ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, fmt.Sprintf(format, a...))
}

func (f *fake) did(s string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.done, s)
}

func (f *fake) prepare() error { return nil }
func (f *fake) links() ([]link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []link
	for _, l := range f.all {
		if f.slow[l.name] > 0 {
			f.slow[l.name]--
			continue
		}
		out = append(out, l)
	}
	return out, nil
}

func (f *fake) link(index int) (link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.all {
		if l.index == index {
			return l, nil
		}
	}
	return link{}, errors.New("gone")
}

func (f *fake) sysctl(path, value string) error                { f.note("%s=%s", path, value); return nil }
func (f *fake) configure(index int, mac string, mtu int) error { return nil }
func (f *fake) up(index int) error                             { f.note("up %d", index); return nil }
func (f *fake) made(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 100 + len(f.all)
	f.all = append(f.all, link{index: n, name: name, running: true})
	return n
}

func (f *fake) bond(name, mode string) (int, error) {
	f.note("bond %s %s", name, mode)
	return f.made(name), nil
}
func (f *fake) bondOption(name string, o plan.BondOption) error {
	f.note("%s %s=%s", name, o.Name, o.Value)
	return nil
}
func (f *fake) enslave(index, master int) error { f.note("enslave %d", index); return nil }
func (f *fake) vlan(name string, over int, v plan.VLAN) (int, error) {
	f.note("vlan %d over %d", v.ID, over)
	return f.made(name), nil
}
func (f *fake) address(index int, p netip.Prefix) error {
	f.note("address %d %v", index, p)
	return nil
}
func (f *fake) addresses(int) ([]netip.Prefix, error) { return f.v6, nil }
func (f *fake) linkLocal(int) bool                    { return true }
func (f *fake) route(index int, r plan.Route, metric int) error {
	f.note("route %d %v via %v metric %d", index, r.To, r.Via, metric)
	return nil
}
func (f *fake) gateway(int, netip.Addr) netip.Addr { return netip.Addr{} }

// paper is a log.
type paper struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *paper) add(format string, a ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(&p.text, format+"\n", a...)
}
func (p *paper) Infof(format string, a ...any)  { p.add(format, a...) }
func (p *paper) Warnf(format string, a ...any)  { p.add(format, a...) }
func (p *paper) Debugf(format string, a ...any) {}

func nic(index int, name, mac string, running bool) link {
	return link{index: index, name: name, mac: mac, path: "pci/" + name, ethernet: true, running: running}
}

const (
	macA = "52:54:00:00:00:01"
	macB = "52:54:00:00:00:02"
)

func deadlines(link, address, route time.Duration) plan.NetworkDeadlines {
	return plan.NetworkDeadlines{Link: plan.Seconds(link), Address: plan.Seconds(address), Route: plan.Seconds(route)}
}

// answering is a TCP port of this host's that listens, and one that does not.
func answering(t *testing.T) (open, closed int) {
	t.Helper()
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	return a.Addr().(*net.TCPAddr).Port, b.Addr().(*net.TCPAddr).Port
}

var loopback = netip.MustParseAddr("127.0.0.1")

// TestReachGoesOn: a server that answers ends the wait although one NIC is not there
// and another has no carrier; so does one that refuses.
func TestReachGoesOn(t *testing.T) {
	k := &fake{all: []link{nic(1, "eth0", macA, false), nic(2, "eth1", macB, true)}}
	n := &plan.Network{Interfaces: []plan.Interface{
		{Name: "dead", NIC: &plan.NIC{MAC: macA}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}},
		{Name: "gone", NIC: &plan.NIC{MAC: "52:54:00:00:00:99"}, DHCP4: true},
		{Name: "live", NIC: &plan.NIC{MAC: macB}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}, Routes: []plan.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.9")}}},
	}, Deadlines: deadlines(time.Hour, time.Hour, time.Hour)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u := start(ctx, n, new(paper), k)
	open, closed := answering(t)
	for _, port := range []int{open, closed} {
		at, err := u.Reach(ctx, Server{Host: "server", Addresses: []netip.Addr{loopback}, Port: port})
		if err != nil || at != loopback {
			t.Errorf("port %d: %v, %v", port, at, err)
		}
	}
}

func TestSettles(t *testing.T) {
	k := &fake{all: []link{nic(1, "eth0", macA, false), nic(2, "eth1", macB, true)}, slow: map[string]int{"eth1": 3}}
	n := &plan.Network{Interfaces: []plan.Interface{
		{Name: "dead", NIC: &plan.NIC{MAC: macA}, DHCP4: true},
		{Name: "gone", NIC: &plan.NIC{MAC: "52:54:00:00:00:99"}, DHCP4: true},
		{Name: "moved", NIC: &plan.NIC{MAC: "52:54:00:00:00:98", Path: "pci/eth1"}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")},
			Routes: []plan.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.9")}}},
	}, Deadlines: deadlines(time.Second, time.Second, time.Second)}
	u := start(t.Context(), n, new(paper), k)
	_, err := u.Reach(t.Context(), Server{Host: "server", Port: 1})
	if err == nil {
		t.Fatal("a server without an address was reached")
	}
	for _, s := range []string{"no carrier for 1s", "no such NIC: there are: eth0 " + macA + " at pci/eth0", "192.0.2.2/24 (fixed)", "no DNS server is known"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %v lacks %q", err, s)
		}
	}
	if !k.did("address 2 192.0.2.2/24") || !k.did("route 2 0.0.0.0/0 via 192.0.2.9 metric 102") {
		t.Errorf("%q", k.done)
	}
}

// TestLease: nobody gives an address (no packet leaves the test's kernel), so the
// last ones are used, and SLAAC's where there is one.
func TestLease(t *testing.T) {
	k := &fake{all: []link{nic(1, "gokdump-none", macA, true)}, v6: []netip.Prefix{netip.MustParsePrefix("2001:db8::5/64")}}
	n := &plan.Network{Interfaces: []plan.Interface{{Name: "a", NIC: &plan.NIC{MAC: macA}, DHCP4: true, SLAAC: true, Lease: &plan.Lease{
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64")},
		Routes:    []plan.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.9")}, {To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fe80::1")}},
	}}}, Deadlines: deadlines(time.Second, time.Second, time.Second)}
	var log paper
	u := start(t.Context(), n, &log, k)
	<-u.settled
	if !k.did("address 1 192.0.2.2/24") || !k.did("route 1 0.0.0.0/0 via 192.0.2.9 metric 100") || k.did("address 1 2001:db8::2/64") {
		t.Errorf("%q", k.done)
	}
	if s := u.String(); !strings.Contains(s, "192.0.2.2/24 (which the host had before), ") && !strings.Contains(s, ", 192.0.2.2/24 (which the host had before)") || !strings.Contains(s, "2001:db8::5/64 (SLAAC)") {
		t.Errorf("%s", s)
	}
}

func TestBondAndVLAN(t *testing.T) {
	k := &fake{all: []link{nic(1, "x", macA, true), nic(2, "y", macB, true)}, slow: map[string]int{"x": 5}}
	n := &plan.Network{Interfaces: []plan.Interface{
		{Name: "a", NIC: &plan.NIC{MAC: macA}}, {Name: "b", NIC: &plan.NIC{MAC: macB}}, {Name: "c", NIC: &plan.NIC{MAC: "52:54:00:00:00:99"}},
		{Name: "bond", Bond: &plan.Bond{Over: []string{"a", "b", "c"}, Mode: "active-backup", Options: []plan.BondOption{{Name: "miimon", Value: "100"}, {Name: "primary", Value: "a"}}}},
		{Name: "v", VLAN: &plan.VLAN{Over: "bond", ID: 7}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}},
	}, Deadlines: deadlines(2*time.Second, time.Second, time.Second)}
	u := start(t.Context(), n, new(paper), k)
	<-u.settled
	for _, s := range []string{"bond kdump3 active-backup", "kdump3 miimon=100", "kdump3 primary=x", "enslave 1", "enslave 2", "up 102", "vlan 7 over 102", "address 103 192.0.2.2/24"} {
		if !k.did(s) {
			t.Errorf("%q was not done: %q", s, k.done)
		}
	}
	if s := u.String(); !strings.Contains(s, "c 52:54:00:00:00:99: no such NIC") || !strings.Contains(s, "v (here kdump4): up, 192.0.2.2/24 (fixed)") {
		t.Error(s)
	}
}

func TestBondValues(t *testing.T) {
	for o, want := range map[plan.BondOption]string{
		{Name: "miimon", Value: "100"}:                         "100",
		{Name: "arp_ip_target", Value: "192.0.2.1,192.0.2.2"}:  "+192.0.2.1 +192.0.2.2",
		{Name: "arp_ip_target", Value: "192.0.2.1, 192.0.2.2"}: "+192.0.2.1 +192.0.2.2",
	} {
		if got := strings.Join(bondValues(o), " "); got != want {
			t.Errorf("%v: %s, want %s", o, got, want)
		}
	}
}

func TestAnyNIC(t *testing.T) {
	k := &fake{all: []link{nic(1, "x", macA, true), nic(2, "y", macB, true), {index: 3, name: "lo"}}}
	n := &plan.Network{Interfaces: []plan.Interface{
		{Name: "a", NIC: &plan.NIC{MAC: macA}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}},
		{Name: "any", NIC: &plan.NIC{Any: true}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.3/24")}},
	}, Deadlines: deadlines(time.Second, time.Second, time.Second)}
	<-start(t.Context(), n, new(paper), k).settled
	if !k.did("address 1 192.0.2.2/24") || !k.did("address 2 192.0.2.3/24") || k.did("address 1 192.0.2.3/24") || k.did("address 3 192.0.2.3/24") {
		t.Errorf("%q", k.done)
	}
}

func TestLease4(t *testing.T) {
	ip := func(s string) net.IP { return net.ParseIP(s) }
	message := func(m ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
		x := &dhcpv4.DHCPv4{YourIPAddr: ip("192.0.2.5"), Options: dhcpv4.Options{}}
		for _, f := range m {
			f(x)
		}
		return x
	}
	mask := dhcpv4.WithNetmask(net.CIDRMask(25, 32))
	_, classless, _ := net.ParseCIDR("198.51.100.0/24")
	for _, tt := range []struct {
		name string
		ack  *dhcpv4.DHCPv4
		want string
	}{
		{"router", message(mask, dhcpv4.WithRouter(ip("192.0.2.1"))), "192.0.2.5/25 [{0.0.0.0/0 192.0.2.1}]"},
		{"no mask", message(), "192.0.2.5/24 []"},
		{"classless routes replace the router", message(mask, dhcpv4.WithRouter(ip("192.0.2.1")), dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(&dhcpv4.Route{Dest: classless, Router: ip("192.0.2.2")}))), "192.0.2.5/25 [{198.51.100.0/24 192.0.2.2}]"},
	} {
		p, routes := lease4(tt.ack)
		if got := fmt.Sprintf("%v %v", p, routes); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
