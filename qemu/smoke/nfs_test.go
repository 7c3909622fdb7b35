//go:build vm

package smoke

import (
	"context"
	"os"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/netswitch"
	"github.com/gokdump/gokdump/qemu/nfsd"
)

// allTargets tells whether this is make test-targets, or its short form.
func allTargets() bool { return os.Getenv("GOKDUMP_TARGETS") == "all" }

// nfsServer runs a server for a test.
func nfsServer(t *testing.T, o nfsd.Options) *nfsd.Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "nfsd") // on a real file system, and not in the test's own folder: root owns parts
	if err != nil {
		t.Fatal(err)
	}
	s, err := nfsd.Start(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.Kill()
		} else if err := s.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

// onServer is the one dump that a machine left on a server.
func onServer(t *testing.T, s *nfsd.Server, o *lab.Outcome) lab.Left {
	t.Helper()
	if err := s.Readable(t.Context()); err != nil {
		t.Fatal(err)
	}
	return leftIn(t, s.Dir+lab.CrashDir, o)
}

// The dump goes to a real NFS server, by each version, over each kind of network.
func TestNFS(t *testing.T) {
	for _, tt := range []struct {
		name    string
		long    bool // not in the short form
		server  nfsd.Options
		host    string
		version string
		network string
		// nics are QEMU's arguments.
		nics    func(t *testing.T) []string
		console []string
	}{
		{
			// One NIC has no cable; which is which only the MAC tells.
			name: "v4.2-dhcp-with-a-dead-nic", host: lab.AtGateway, version: "4.2",
			network: "network dhcp on " + lab.NICA + "\nnetwork dhcp on " + lab.NICB,
			nics: func(t *testing.T) []string {
				sw := newSwitch(t, netswitch.Port{Dead: true})
				return append([]string{"-netdev", sw.Netdev(0, "dead"), "-device", "virtio-net-pci,netdev=dead,mac=" + lab.NICA}, lab.UserNIC("live", lab.NICB)...)
			},
			console: []string{"10.0.2.15/24 (DHCP from 10.0.2.2", "mounted by NFS 4.2"},
		},
		{
			name: "v3-static", long: true, host: lab.AtGateway, version: "3",
			network: "network 10.0.2.77/24 gateway 10.0.2.2 mtu 1400 on " + lab.NICA,
			nics:    func(*testing.T) []string { return append(lab.UserNIC("a", lab.NICA), lab.UserNIC("b", lab.NICB)...) },
			console: []string{"10.0.2.77/24 (fixed)", "mounted by NFS 3"},
		},
		{
			name: "v4.1-vlan-over-bond", long: true, host: lab.AtGateway, version: "4.1",
			network: "bond bond0 on " + lab.NICA + "," + lab.NICB + " mode=active-backup miimon=100\nvlan v7 7 on bond0\nnetwork dhcp on v7",
			nics:    func(t *testing.T) []string { _, args := taggedNICs(t); return args },
			console: []string{"v7: 10.0.2.15/24 (DHCP", "mounted by NFS 4.1"},
		},
		{
			name: "auto-ipv6-slaac", long: true, server: nfsd.Options{V6: true}, host: "[fec0::2]", version: "auto",
			network: "network slaac",
			nics:    func(*testing.T) []string { return lab.UserNIC("a", lab.NICA) },
			console: []string{"(SLAAC)", "mounted by NFS 4.2"},
		},
		{
			name: "v3-ipv6-static", long: true, server: nfsd.Options{V6: true}, host: "[fec0::2]", version: "3",
			network: "network fec0::77/64 on " + lab.NICA,
			nics:    func(*testing.T) []string { return lab.UserNIC("a", lab.NICA) },
			console: []string{"fec0::77/64 (fixed)", "mounted by NFS 3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.long && !allTargets() {
				t.Skip("make test-targets has this too")
			}
			s := nfsServer(t, tt.server)
			o := crash(t, lab.Story{
				Config: lab.NFSConfig(tt.host, tt.version, s.Port, s.MountPort) + tt.network + "\n",
				Extra:  tt.nics(t),
			})
			l := onServer(t, s, o)
			whole(t, l)
			console(t, o, tt.console...)
			for _, name := range l.Names() {
				if st, err := os.Stat(l.Path(name)); err != nil || st.Mode().Perm() != 0o600 {
					t.Errorf("%s: mode %v, %v; want 0600", name, st.Mode(), err)
				}
			}
			opensInDrgn(t, o, l.Path(capture.DumpName))
		})
	}
}

func newSwitch(t *testing.T, ports ...netswitch.Port) *netswitch.Switch {
	t.Helper()
	folder, err := os.MkdirTemp("", "sw") // the sockets' paths are limited
	if err != nil {
		t.Fatal(err)
	}
	sw, err := netswitch.New(folder, ports...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sw.Close(); err != nil {
			t.Error(err)
		}
		os.RemoveAll(folder)
	})
	return sw
}

// taggedNICs are two NICs at a switch where they are in VLAN 7, whose third port is
// QEMU's user network without a tag.
func taggedNICs(t *testing.T) (*netswitch.Switch, []string) {
	p := netswitch.Port{VLAN: 7}
	sw := newSwitch(t, p, p, netswitch.Port{})
	return sw, []string{
		"-netdev", sw.Netdev(0, "a"), "-device", "virtio-net-pci,netdev=a,mac=" + lab.NICA,
		"-netdev", sw.Netdev(1, "b"), "-device", "virtio-net-pci,netdev=b,mac=" + lab.NICB,
		"-netdev", "user,id=slirp", "-netdev", sw.Netdev(2, "uplink"),
		"-netdev", "hubport,id=h0,hubid=0,netdev=slirp", "-netdev", "hubport,id=h1,hubid=0,netdev=uplink",
	}
}

// A host whose network is a VLAN over a bond builds the image itself, by what it
// finds out; then DHCP is silent in the crash kernel.
func TestNetworkAuto(t *testing.T) {
	if !allTargets() {
		t.Skip("make test-targets has this")
	}
	s := nfsServer(t, nfsd.Options{})
	sw, nics := taggedNICs(t)
	o := crash(t, lab.Story{
		Config: lab.NFSConfig(lab.AtGateway, "4.0", s.Port, s.MountPort) + "timeout address 8s\n",
		Extra:  nics,
		Network: &script.Network{
			Plan: plan.Network{
				Interfaces: []plan.Interface{
					{Name: "eth0", NIC: &plan.NIC{MAC: lab.NICA}},
					{Name: "eth1", NIC: &plan.NIC{MAC: lab.NICB}},
					{Name: "bond0", Bond: &plan.Bond{Over: []string{"eth0", "eth1"}, Mode: "active-backup", Options: []plan.BondOption{{Name: "miimon", Value: "100"}, {Name: "primary", Value: "eth1"}}}},
					{Name: "bond0.7", VLAN: &plan.VLAN{Over: "bond0", ID: 7}, DHCP4: true},
				},
				Deadlines: plan.DefaultNetworkDeadlines(),
			},
			Server: lab.AtGateway, Port: s.Port, Leased: true,
		},
		Talk: func(context.Context, *qemu.VM) error {
			for n := range 2 {
				sw.Set(n, netswitch.Port{VLAN: 7, NoDHCP: true})
			}
			return nil
		},
	})
	l := onServer(t, s, o)
	whole(t, l)
	console(t, o,
		"kdump-mkinitramfs: network: eth0, NIC "+lab.NICA,
		"bond (active-backup) over eth0, eth1 miimon=100 primary=eth1",
		"VLAN 7 over kdump2: DHCP; when nobody answers 10.0.2.15/24, default via 10.0.2.2",
		"was mounted by NFS 4.0, and written",
		"DHCP: no answer", "10.0.2.15/24 (which the host had before)", "mounted by NFS 4.0")
	opensInDrgn(t, o, l.Path(capture.DumpName))
}
