package hostnet

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func route(to, gateway string) plan.Route {
	r := plan.Route{To: netip.MustParsePrefix(to)}
	if gateway != "" {
		r.Via = netip.MustParseAddr(gateway)
	}
	return r
}

func address(s string, permanent bool) Address {
	return Address{Prefix: netip.MustParsePrefix(s), Permanent: permanent}
}

// The host has two NICs in a bond with a VLAN over it, one NIC in a bridge, one
// alone, and a tunnel.
func host() *Snapshot {
	return &Snapshot{
		Links: []Link{
			{Index: 1, Name: "lo", Kind: "device"},
			{Index: 2, Name: "eth0", Kind: "device", Ethernet: true, MAC: "52:54:00:00:00:02", Permanent: "52:54:00:00:00:02", MTU: 1500, Path: "pci/2", Addresses: []Address{
				address("192.0.2.2/24", false), address("fe80::2/64", true), address("2001:db8:2::2/64", false),
				{Prefix: netip.MustParsePrefix("2001:db8:2::99/64"), Temporary: true}}},
			{Index: 3, Name: "eth1", Kind: "device", Ethernet: true, MAC: "52:54:00:00:00:03", Permanent: "52:54:00:00:00:03", MTU: 9000, Path: "pci/3", Master: 5},
			{Index: 4, Name: "eth2", Kind: "device", Ethernet: true, MAC: "52:54:00:00:00:03", Permanent: "52:54:00:00:00:04", MTU: 9000, Path: "pci/4", Master: 5},
			{Index: 5, Name: "bond0", Kind: "bond", Ethernet: true, MAC: "52:54:00:00:00:03", MTU: 9000, Bond: plan.Bond{Mode: "802.3ad", Options: []plan.BondOption{{Name: "miimon", Value: "100"}}}},
			{Index: 6, Name: "bond0.7", Kind: "vlan", Ethernet: true, MAC: "52:54:00:00:00:03", MTU: 1500, Parent: 5, VLAN: plan.VLAN{ID: 7}, Addresses: []Address{address("198.51.100.6/24", true), address("2001:db8:6::6/128", false)}},
			{Index: 7, Name: "br0", Kind: "bridge", Ethernet: true, MAC: "52:54:00:00:00:08", MTU: 1500, Addresses: []Address{address("203.0.113.7/24", true)}},
			{Index: 8, Name: "eth3", Kind: "device", Ethernet: true, MAC: "52:54:00:00:00:88", Permanent: "52:54:00:00:00:08", MTU: 1500, Path: "pci/8", Master: 7},
			{Index: 9, Name: "vnet0", Kind: "tun", Ethernet: true, Master: 7},
			{Index: 10, Name: "wg0", Kind: "wireguard", Addresses: []Address{address("10.9.0.1/24", true)}},
			{Index: 11, Name: "mv0", Kind: "macvlan", Ethernet: true, Parent: 2, Addresses: []Address{address("192.0.2.11/24", true)}},
		},
		Routes: []Route{
			{route("0.0.0.0/0", "192.0.2.1"), 2, 3}, // as dhclient sets it
			{route("192.0.2.0/24", ""), 2, protoKernel},
			{route("10.0.0.0/8", "192.0.2.9"), 2, 4},
			{route("::/0", "fe80::1"), 2, protoRA},
			{route("10.7.0.0/16", "198.51.100.1"), 6, 4},
			{route("fe80::/64", ""), 2, protoKernel},
		},
		DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		Way: func(a netip.Addr) (Way, error) {
			switch a.String() {
			case "192.0.2.50", "2001:db8:2::50":
				return Way{Index: 2}, nil
			case "8.8.8.8":
				return Way{Index: 2, Via: netip.MustParseAddr("192.0.2.1")}, nil
			case "8.8.4.4": // by a policy of the host's
				return Way{Index: 2, Via: netip.MustParseAddr("192.0.2.7")}, nil
			case "10.7.1.1":
				return Way{Index: 6, Via: netip.MustParseAddr("198.51.100.1")}, nil
			case "203.0.113.50":
				return Way{Index: 7}, nil
			case "10.9.0.2":
				return Way{Index: 10}, nil
			case "192.0.2.2":
				return Way{Index: 1}, nil
			case "192.0.2.60":
				return Way{Index: 11}, nil
			}
			return Way{}, errors.New("no route")
		},
	}
}

func TestDetect(t *testing.T) {
	eth0 := plan.Interface{Name: "eth0", NIC: &plan.NIC{MAC: "52:54:00:00:00:02", Path: "pci/2"}, DHCP4: true, SLAAC: true,
		Routes: []plan.Route{route("10.0.0.0/8", "192.0.2.9")},
		Lease:  &plan.Lease{Addresses: prefixes("192.0.2.2/24", "2001:db8:2::2/64"), Routes: []plan.Route{route("0.0.0.0/0", "192.0.2.1"), route("::/0", "fe80::1")}}}
	policy := eth0
	policy.Routes = []plan.Route{route("10.0.0.0/8", "192.0.2.9"), route("8.8.4.4/32", "192.0.2.7")}
	bare := plan.Interface{Name: "eth0", NIC: eth0.NIC, Addresses: prefixes("192.0.2.11/24")}
	for _, tt := range []struct {
		name    string
		servers []string
		want    []plan.Interface
		nics    string
		note    string
	}{
		{"on the link", []string{"192.0.2.50"}, []plan.Interface{eth0}, "eth0", ""},
		{"twice the same way", []string{"192.0.2.50", "2001:db8:2::50", "8.8.8.8"}, []plan.Interface{eth0}, "eth0", ""},
		{"one of two", []string{"9.9.9.9", "8.8.8.8"}, []plan.Interface{eth0}, "eth0", "no route"},
		{"by a policy", []string{"8.8.4.4"}, []plan.Interface{policy}, "eth0", ""},
		{"vlan over bond", []string{"10.7.1.1"}, []plan.Interface{
			{Name: "eth1", NIC: &plan.NIC{MAC: "52:54:00:00:00:03", Path: "pci/3"}, MTU: 9000},
			{Name: "eth2", NIC: &plan.NIC{MAC: "52:54:00:00:00:04", Path: "pci/4"}, MTU: 9000},
			{Name: "bond0", MAC: "52:54:00:00:00:03", MTU: 9000, Bond: &plan.Bond{Over: []string{"eth1", "eth2"}, Mode: "802.3ad", Options: []plan.BondOption{{Name: "miimon", Value: "100"}}}},
			{Name: "bond0.7", VLAN: &plan.VLAN{Over: "bond0", ID: 7}, DHCP6: true, Addresses: prefixes("198.51.100.6/24"), Routes: []plan.Route{route("10.7.0.0/16", "198.51.100.1")},
				Lease: &plan.Lease{Addresses: prefixes("2001:db8:6::6/128")}},
		}, "eth1 eth2", ""},
		{"bridge", []string{"203.0.113.50"}, []plan.Interface{{Name: "eth3", NIC: &plan.NIC{MAC: "52:54:00:00:00:08", Path: "pci/8"}, Addresses: prefixes("203.0.113.7/24")}}, "eth3", "is a bridge"},
		{"macvlan", []string{"192.0.2.60"}, []plan.Interface{bare}, "eth0", "macvlan over eth0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var servers []netip.Addr
			for _, s := range tt.servers {
				servers = append(servers, netip.MustParseAddr(s))
			}
			got, err := host().Detect(servers, plan.DefaultNetworkDeadlines())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got.Interfaces, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Error(d)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
			if s := strings.Join(got.NICs, " "); s != tt.nics {
				t.Errorf("NICs %s, want %s", s, tt.nics)
			}
			if notes := strings.Join(got.Notes, "; "); tt.note == "" && notes != "" || !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			if len(Describe(got.Network)) != len(tt.want)+1 {
				t.Errorf("%q", Describe(got.Network))
			}
		})
	}
}

func TestDetectRefuses(t *testing.T) {
	for server, want := range map[string]string{
		"127.0.0.1": "the host itself", "192.0.2.2": "the host itself", "9.9.9.9": "no route", "10.9.0.2": "no hardware but a wireguard",
	} {
		if _, err := host().Detect([]netip.Addr{netip.MustParseAddr(server)}, plan.DefaultNetworkDeadlines()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", server, err, want)
		}
	}
	two := host()
	two.Links[2].Master, two.Links[2].Permanent = 7, ""
	// Servers that can be done without: one without a way, and one by another way.
	got, err := host().Detect([]netip.Addr{netip.MustParseAddr("192.0.2.50")}, plan.DefaultNetworkDeadlines(),
		netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("10.7.1.1"))
	if err != nil || !strings.Contains(strings.Join(got.Notes, " "), "no route") || len(got.Interfaces) != 5 {
		t.Errorf("%+v, %v; want a note, and eth0 beside the VLAN over a bond", got, err)
	}
	if _, err := two.Detect([]netip.Addr{netip.MustParseAddr("203.0.113.50")}, plan.DefaultNetworkDeadlines()); err == nil || !strings.Contains(err.Error(), "several ports") {
		t.Errorf("a bridge with two ports: %v", err)
	}
}

// Some DHCP clients set addresses without a lifetime.
func TestLeases(t *testing.T) {
	root := fstest.MapFS{
		"run/systemd/netif/leases/2":                 {Data: []byte("# private\nADDRESS=192.0.2.2\nROUTER=192.0.2.1\n")},
		"var/lib/dhcp/dhclient.eth9.leases":          {Data: []byte("lease {\n  interface \"eth9\";\n  fixed-address 192.0.2.9;\n}\n")},
		"var/lib/NetworkManager/internal-x-nm.lease": {Data: []byte("ADDRESS=192.0.2.5\n")},
	}
	for _, tt := range []struct {
		l    Link
		a    string
		want bool
	}{
		{Link{Index: 2, Name: "eth0"}, "192.0.2.2", true}, {Link{Index: 3, Name: "eth0"}, "192.0.2.2", false},
		{Link{Name: "eth9"}, "192.0.2.9", true}, {Link{Name: "eth8"}, "192.0.2.9", false}, {Link{Name: "nm"}, "192.0.2.5", true},
	} {
		if got := leasedIn(root, tt.l, netip.MustParseAddr(tt.a)); got != tt.want {
			t.Errorf("%s %s: %v", tt.l.Name, tt.a, got)
		}
	}
	s := host()
	s.Links[1].Addresses[0].Permanent = true
	s.Leased = func(l Link, a netip.Addr) bool { return leasedIn(root, l, a) }
	got, err := s.Detect([]netip.Addr{netip.MustParseAddr("192.0.2.50")}, plan.DefaultNetworkDeadlines())
	if err != nil || !got.Interfaces[0].DHCP4 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestResolv(t *testing.T) {
	root := fstest.MapFS{
		"etc/resolv.conf":                 {Data: []byte("nameserver 127.0.0.53\noptions edns0\nsearch example.org. lan\n")},
		"run/systemd/resolve/resolv.conf": {Data: []byte("nameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver fe80::1%2\n")},
	}
	dns, search := readResolv(root)
	if len(dns) != 2 || dns[0].String() != "192.0.2.53" || strings.Join(search, " ") != "example.org lan" {
		t.Errorf("%v %v", dns, search)
	}
}

func TestResolve(t *testing.T) {
	described := &plan.Network{Interfaces: []plan.Interface{
		{Name: "eth1", NIC: &plan.NIC{}}, {Name: "nicx", NIC: &plan.NIC{MAC: "52:54:00:00:00:04"}}, {Name: "gone", NIC: &plan.NIC{MAC: "52:54:00:00:00:99"}},
		{Name: "any", NIC: &plan.NIC{Any: true}, DHCP4: true},
	}, Deadlines: plan.DefaultNetworkDeadlines()}
	got, err := host().Resolve(described)
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Interfaces[0].NIC; n.MAC != "52:54:00:00:00:03" || n.Path != "pci/3" || got.Interfaces[1].NIC.Path != "pci/4" {
		t.Errorf("%+v %+v", n, got.Interfaces[1].NIC)
	}
	if *described.Interfaces[0].NIC != (plan.NIC{}) {
		t.Error("what was described is changed")
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if len(got.Notes) != 1 || len(got.DNS) != 1 || !strings.Contains(strings.Join(got.NICs, " "), "eth1 eth2 eth0") {
		t.Errorf("notes %q, DNS %v, NICs %v", got.Notes, got.DNS, got.NICs)
	}
	for _, name := range []string{"eth7", "wg0"} {
		if _, err := host().Resolve(&plan.Network{Interfaces: []plan.Interface{{Name: name, NIC: &plan.NIC{}}}}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("nameserver 127.0.0.53\nsearch a.b c\nlease {\n interface \"e\";\n fixed-address 1.2.3.4;\n}\nADDRESS=1.2.3.4"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dns, search := parseResolv(text)
		n := plan.Network{Interfaces: []plan.Interface{{Name: "e", NIC: &plan.NIC{Any: true}, DHCP4: true}}, DNS: dns, Search: search, Deadlines: plan.DefaultNetworkDeadlines()}
		if err := n.Validate(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		holdsLease(text, "e", netip.MustParseAddr("1.2.3.4"))
	})
}
