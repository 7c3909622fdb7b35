package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func prefixes(s ...string) (out []netip.Prefix) {
	for _, x := range s {
		out = append(out, netip.MustParsePrefix(x))
	}
	return out
}

func via(to, gw string) plan.Route {
	return plan.Route{To: netip.MustParsePrefix(to), Via: netip.MustParseAddr(gw)}
}

func TestNetwork(t *testing.T) {
	active := &plan.Bond{Over: []string{"eth0", "eth1"}, Mode: "active-backup", Options: []plan.BondOption{{Name: "miimon", Value: "100"}}}
	host := &plan.NIC{}
	for _, tt := range []struct {
		text string
		want []plan.Interface // nil: the host's own way
		dns  string
	}{
		{text: "network auto"},
		{text: "nameserver 192.0.2.53", dns: "192.0.2.53"},
		{text: "network dhcp", want: []plan.Interface{{Name: "any", NIC: &plan.NIC{Any: true}, DHCP4: true}}},
		{text: "network dhcp slaac dhcp6 mtu 9000 on eth0", want: []plan.Interface{{Name: "eth0", NIC: host, DHCP4: true, SLAAC: true, DHCP6: true, MTU: 9000}}},
		{text: "network static 192.0.2.7/24 2001:db8::7/64 gateway 192.0.2.1 gateway fe80::1 on 52:54:00:AA:00:01\nnameserver 192.0.2.53 2001:db8::53",
			want: []plan.Interface{{Name: "nic525400aa0001", NIC: &plan.NIC{MAC: "52:54:00:aa:00:01"}, Addresses: prefixes("192.0.2.7/24", "2001:db8::7/64"),
				Routes: []plan.Route{via("0.0.0.0/0", "192.0.2.1"), via("::/0", "fe80::1")}}}, dns: "192.0.2.53"},
		{text: "network dhcp on v7\nvlan v7 7 on bond0\nbond bond0 on eth0,eth1\nroute 198.51.100.0/24 via 192.0.2.1 on v7",
			want: []plan.Interface{{Name: "eth0", NIC: host}, {Name: "eth1", NIC: host}, {Name: "bond0", Bond: active},
				{Name: "v7", VLAN: &plan.VLAN{Over: "bond0", ID: 7}, DHCP4: true, Routes: []plan.Route{via("198.51.100.0/24", "192.0.2.1")}}}},
		{text: "bond b on eth0,eth1 mode=4 lacp_rate=fast arp_interval=100\nnetwork dhcp on b",
			want: []plan.Interface{{Name: "eth0", NIC: host}, {Name: "eth1", NIC: host},
				{Name: "b", Bond: &plan.Bond{Over: []string{"eth0", "eth1"}, Mode: "802.3ad", Options: []plan.BondOption{{Name: "lacp_rate", Value: "fast"}, {Name: "arp_interval", Value: "100"}}}, DHCP4: true}}},
		// what dracut.cmdline(7) gives for examples
		{text: "network ip=dhcp", want: []plan.Interface{{Name: "any", NIC: &plan.NIC{Any: true}, DHCP4: true}}},
		{text: "network ip=eth0:dhcp6:9000:52:54:00:00:00:02", want: []plan.Interface{{Name: "eth0", NIC: host, DHCP6: true, SLAAC: true, MTU: 9000, MAC: "52:54:00:00:00:02"}}},
		{text: "network ip=192.168.0.10::192.168.0.1:255.255.255.0:box:eth0:none:192.168.0.53 rd.route=10.0.0.0/8:192.168.0.2:eth0",
			want: []plan.Interface{{Name: "eth0", NIC: host, Addresses: prefixes("192.168.0.10/24"), Routes: []plan.Route{via("0.0.0.0/0", "192.168.0.1"), via("10.0.0.0/8", "192.168.0.2")}}}, dns: "192.168.0.53"},
		{text: "network ip=[2001:db8::7]::[2001:db8::1]:64::eth0:none nameserver=[2001:db8::53]",
			want: []plan.Interface{{Name: "eth0", NIC: host, Addresses: prefixes("2001:db8::7/64"), Routes: []plan.Route{via("::/0", "2001:db8::1")}}}, dns: "2001:db8::53"},
		{text: "network bond=bond0:eth0,eth1:mode=active-backup,miimon=100:9000 vlan=vlan0005:bond0 ip=vlan0005:dhcp",
			want: []plan.Interface{{Name: "eth0", NIC: host}, {Name: "eth1", NIC: host}, {Name: "bond0", Bond: active, MTU: 9000},
				{Name: "vlan0005", VLAN: &plan.VLAN{Over: "bond0", ID: 5}, DHCP4: true}}},
	} {
		c := parse(t, tt.text)
		dns := c.DNS
		if tt.want == nil {
			if c.Network != nil {
				t.Errorf("%s: %+v", tt.text, c.Network)
			}
		} else if c.Network == nil {
			t.Errorf("%s: no network", tt.text)
			continue
		} else {
			dns = c.Network.DNS
			if d := cmp.Diff(tt.want, c.Network.Interfaces, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Errorf("%s: %s", tt.text, d)
			}
		}
		if tt.dns != "" && (len(dns) == 0 || dns[0].String() != tt.dns) {
			t.Errorf("%s: DNS %v, want %s", tt.text, dns, tt.dns)
		}
	}
}

func TestNetworkErrors(t *testing.T) {
	for text, want := range map[string]string{
		"network dchp":                             "not known",
		"network dhcp on a/b":                      "neither the name",
		"network 192.0.2.7 on eth0":                "length of its network",
		"network 192.0.2.7/24 gateway on eth0":     "no value",
		"network 192.0.2.7/24 gateway x on eth0":   "no address",
		"network dhcp mtu 1 on eth0":               "mtu 1",
		"network mtu 9000 on eth0":                 "no interface has an address",
		"network auto\nnetwork dhcp":               "remove the other lines",
		"vlan v7 on eth0":                          "want vlan NAME",
		"vlan v7 4095 on eth0":                     "1 to 4094",
		"vlan v7 7 on eth0\nvlan v7 8 on eth0":     "described already",
		"bond b eth0,eth1":                         "want bond NAME",
		"bond b on eth0 mode=x\nnetwork dhcp on b": "bond mode",
		"bond b on eth0 x=y\nnetwork dhcp on b":    "not known",
		"route 10.0.0.0/8 192.0.2.1":               "want route NETWORK",
		"route 10.0.0.0/8 via x on eth0":           "and an address",
		"nameserver x":                             "no address",
		"network ip=dhpc":                          "no way to get an address",
		"network ip=1.2.3.4:::x::eth0:none":        "is none",
		"network ip=1.2.3.4:::255.0.255.0::e:none": "is none",
		"network vlan=v:eth0":                      "tag at the name's end",
		"network bond=b":                           "want bond=",
		"network foo=bar":                          "not known",
		"nfs server":                               "want HOST:/EXPORT",
		"nfs 2001:db8::1:/x":                       "in brackets",
		"nfs [x]:/y":                               "want HOST:/EXPORT",
		"nfs a:/../b":                              "want HOST:/EXPORT",
		"nfs_version 3":                            "below the line of an nfs target",
		"nfs a:/b\nnfs_version 5":                  "not known",
		"nfs a:/b\nnfs_options hard":               "must be soft",
		"nfs a:/b\nnfs_options vers=3":             "nfs_version",
		"nfs a:/b\nnfs_options timeo=9999":         "1 to 600",
	} {
		_, err := Parse(strings.NewReader(text+"\n"), "k")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
		if e := new(Error); !errors.As(err, &e) || e.Line < 1 {
			t.Errorf("%q: %v holds no line", text, err)
		}
	}
}

func TestNFSPlan(t *testing.T) {
	c := parse(t, "nfs store:/crash\nnfs_version 4\nnfs_options port=12049,timeo=50\npath /here\nnfs [2001:db8::2]:/\nnetwork dhcp\ntimeout route 7s\nhost h\n")
	var asked []netip.Addr
	p, err := c.Plan(Host{
		Release: "r",
		Lookup: func(name string) ([]netip.Addr, error) {
			if name != "store" {
				t.Errorf("lookup of %s", name)
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.9")}, nil
		},
		Network: func(n *plan.Network, servers, also []netip.Addr) (*plan.Network, error) {
			asked = servers
			return n, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []plan.Target{
		{Kind: plan.KindNFS, NFS: &plan.NFS{Host: "store", Addresses: []string{"192.0.2.9"}, Export: "/crash", Version: "4.0"}, Options: "port=12049,timeo=50", Path: "/here"},
		{Kind: plan.KindNFS, NFS: &plan.NFS{Host: "2001:db8::2", Addresses: []string{"2001:db8::2"}, Export: "/", Version: "auto"}, Path: "/var/crash"},
	}
	if d := cmp.Diff(want, p.Targets); d != "" {
		t.Error(d)
	}
	if len(asked) != 2 || p.Network.Deadlines.Route.Duration().Seconds() != 7 {
		t.Errorf("servers %v, deadlines %v", asked, p.Network.Deadlines)
	}
	if c.Targets[0].NFS.Addresses != nil {
		t.Error("the configuration was changed")
	}
	if _, err := parse(t, "nfs store:/crash\n").Plan(Host{Release: "r", Name: "h"}); err == nil || !strings.Contains(err.Error(), "network dhcp") {
		t.Errorf("another machine without a network: %v", err)
	}
	if _, err := parse(t, "nfs store:/crash\n").Plan(Host{Release: "r", Name: "h", Lookup: func(string) ([]netip.Addr, error) { return nil, errors.New("no such name") }}); err == nil || !strings.Contains(err.Error(), "no such name") {
		t.Errorf("an unknown name: %v", err)
	}
}

// The server that gets the report is looked up, too, and may not be found.
func TestNotifyPlan(t *testing.T) {
	for url, want := range map[string]string{
		"https://hooks.example:8443/x": "192.0.2.8", "http://198.51.100.1/x": "198.51.100.1", "https://unknown.example/": "",
	} {
		var also []netip.Addr
		p, err := parse(t, "nfs store:/crash\nnetwork dhcp\nhost h\nnotify "+url+"\n").Plan(Host{
			Release: "r",
			Lookup: func(name string) ([]netip.Addr, error) {
				if name == "unknown.example" {
					return nil, errors.New("no such name")
				}
				return []netip.Addr{netip.MustParseAddr(map[string]string{"store": "192.0.2.9", "hooks.example": "192.0.2.8"}[name])}, nil
			},
			Network: func(n *plan.Network, servers, more []netip.Addr) (*plan.Network, error) {
				if len(servers) != 1 {
					t.Errorf("%s: servers %v", url, servers)
				}
				also = more
				return n, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Notify.Addresses, " "); got != want || len(also) != len(p.Notify.Addresses) {
			t.Errorf("%s: addresses %q, ways to %v; want %q", url, got, also, want)
		}
	}
}

// knownNetwork stands for a host: it knows each NIC that is named, and for nothing
// gives a way.
func knownNetwork(n *plan.Network, _, _ []netip.Addr) (*plan.Network, error) {
	if n == nil {
		return &plan.Network{Interfaces: []plan.Interface{{Name: "any", NIC: &plan.NIC{Any: true}, DHCP4: true}}}, nil
	}
	for i := range n.Interfaces {
		if nic := n.Interfaces[i].NIC; nic != nil && *nic == (plan.NIC{}) {
			nic.Path = "x"
		}
	}
	return n, nil
}
