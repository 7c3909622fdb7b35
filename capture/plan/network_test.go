package plan

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// sampleNetwork has one of everything.
func sampleNetwork() *Network {
	return &Network{
		Interfaces: []Interface{
			{Name: "eth0", NIC: &NIC{MAC: "52:54:00:00:00:01", Path: "pci0000:00/0000:00:02.0/virtio0"}, DHCP4: true, SLAAC: true,
				Lease: &Lease{Addresses: []netip.Prefix{prefix("10.0.2.15/24")}, Routes: []Route{{To: prefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.2.2")}}}},
			{Name: "eth1", NIC: &NIC{MAC: "52:54:00:00:00:02"}, MTU: 9000},
			{Name: "eth2", NIC: &NIC{Path: "pci0000:00/0000:00:03.0/virtio1"}},
			{Name: "bond0", Bond: &Bond{Over: []string{"eth1", "eth2"}, Mode: "active-backup", Options: []BondOption{{"miimon", "100"}, {"primary", "eth2"}}}},
			{Name: "bond0.7", VLAN: &VLAN{Over: "bond0", ID: 7}, MAC: "52:54:00:00:00:07", Addresses: []netip.Prefix{prefix("192.0.2.7/24"), prefix("2001:db8::7/64")},
				Routes: []Route{{To: prefix("198.51.100.0/24"), Via: netip.MustParseAddr("192.0.2.1")}, {To: prefix("::/0"), Via: netip.MustParseAddr("fe80::1")}, {To: prefix("203.0.113.0/24")}}},
			{Name: "any", NIC: &NIC{Any: true}, DHCP6: true},
		},
		DNS:       []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		Search:    []string{"example.org"},
		Deadlines: DefaultNetworkDeadlines(),
	}
}

func TestNetworkRoundTrip(t *testing.T) {
	want := sample()
	want.Network = sampleNetwork()
	var b bytes.Buffer
	if err := want.Encode(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		t.Error(d)
	}
}

func TestNetworkValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*Network)
		want string
	}{
		{"none", func(n *Network) { n.Interfaces = nil }, "0 interfaces"},
		{"no address", func(n *Network) { n.Interfaces = n.Interfaces[1:2] }, "no interface has an address"},
		{"name", func(n *Network) { n.Interfaces[0].Name = "a b" }, "want a name"},
		{"long name", func(n *Network) { n.Interfaces[0].Name = "abcdefghijklmnop" }, "want a name"},
		{"twice", func(n *Network) { n.Interfaces[1].Name = "eth0" }, "twice"},
		{"kinds", func(n *Network) { n.Interfaces[0].VLAN = &VLAN{Over: "x", ID: 1} }, "2 of nic"},
		{"no kind", func(n *Network) { n.Interfaces[0].NIC = nil }, "0 of nic"},
		{"mac", func(n *Network) { n.Interfaces[0].NIC.MAC = "52:54:00:00:00:0G" }, "hardware address"},
		{"capital mac", func(n *Network) { n.Interfaces[0].NIC.MAC = "52:54:00:00:00:0A" }, "hardware address"},
		{"multicast mac", func(n *Network) { n.Interfaces[0].MAC = "01:00:5e:00:00:01" }, "hardware address"},
		{"nothing of a nic", func(n *Network) { *n.Interfaces[0].NIC = NIC{} }, "neither a MAC nor a path"},
		{"path", func(n *Network) { n.Interfaces[0].NIC.Path = "../x" }, "path"},
		{"any and mac", func(n *Network) { n.Interfaces[0].NIC.Any = true }, "any NIC"},
		{"mtu", func(n *Network) { n.Interfaces[0].MTU = 67 }, "MTU 67"},
		{"vlan below", func(n *Network) { n.Interfaces[4].VLAN.Over = "any" }, "does not stand before"},
		{"vlan id", func(n *Network) { n.Interfaces[4].VLAN.ID = 4095 }, "VLAN 4095"},
		{"vlan protocol", func(n *Network) { n.Interfaces[4].VLAN.Protocol = "x" }, "protocol"},
		{"bond of nothing", func(n *Network) { n.Interfaces[3].Bond.Over = nil }, "of no interfaces"},
		{"bond of itself", func(n *Network) { n.Interfaces[3].Bond.Over[0] = "bond0" }, "no NIC"},
		{"bond member twice", func(n *Network) { n.Interfaces[3].Bond.Over[0] = "eth2" }, "already"},
		{"bond of addressed", func(n *Network) { n.Interfaces[3].Bond.Over[0] = "eth0" }, "addresses of its own"},
		{"bond mode", func(n *Network) { n.Interfaces[3].Bond.Mode = "7" }, "bond mode"},
		{"bond option", func(n *Network) { n.Interfaces[3].Bond.Options[0].Name = "../../x" }, "not known"},
		{"bond value", func(n *Network) { n.Interfaces[3].Bond.Options[0].Value = "" }, "cannot be"},
		{"bond option twice", func(n *Network) { n.Interfaces[3].Bond.Options[1].Name = "miimon" }, "twice"},
		{"primary", func(n *Network) { n.Interfaces[3].Bond.Options[1].Value = "eth0" }, "not in the bond"},
		{"address", func(n *Network) { n.Interfaces[4].Addresses[0] = prefix("224.0.0.1/8") }, "no address"},
		{"zero address", func(n *Network) { n.Interfaces[4].Addresses[0] = netip.Prefix{} }, "no address"},
		{"address twice", func(n *Network) { n.Interfaces[4].Addresses[1] = prefix("192.0.2.7/32") }, "twice"},
		{"route", func(n *Network) { n.Interfaces[4].Routes[0].To = prefix("198.51.100.1/24") }, "length of its prefix"},
		{"gateway", func(n *Network) { n.Interfaces[4].Routes[0].Via = netip.MustParseAddr("2001:db8::1") }, "no gateway"},
		{"empty lease", func(n *Network) { n.Interfaces[0].Lease.Addresses = nil }, "without an address"},
		{"dns", func(n *Network) { n.DNS[0] = netip.MustParseAddr("127.0.0.53") }, "DNS server"},
		{"search", func(n *Network) { n.Search[0] = "a b" }, "no domain"},
		{"deadline", func(n *Network) { n.Deadlines.Route = 0 }, `deadline "route"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := sample()
			p.Network = sampleNetwork()
			tt.do(p.Network)
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestRemoteNeedsNetwork(t *testing.T) {
	p := sample()
	p.Targets = []Target{{Kind: KindNFS, NFS: &NFS{Host: "h", Export: "/e", Version: NFSAuto}, Path: "/"}}
	if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "there is no network") {
		t.Errorf("error %v", err)
	}
	p.Network = sampleNetwork()
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}

func TestServer(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://s3.example.org": "s3.example.org", "http://10.0.2.2:9000/": "10.0.2.2", "http://[2001:db8::1]:9000": "2001:db8::1", "http://[2001:db8::1]": "2001:db8::1",
	} {
		target := Target{Kind: KindS3, S3: &S3{Endpoint: endpoint}}
		host, addresses := target.Server()
		if host != want || addresses != &target.S3.Addresses {
			t.Errorf("%s: %q, want %q", endpoint, host, want)
		}
	}
}
