//go:build vm

package smoke

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/debian"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/netswitch"
	"github.com/gokdump/gokdump/qemu/nfsd"
)

// The hardware addresses of the machines' NICs.
const (
	nicA = "52:54:00:12:00:0a"
	nicB = "52:54:00:12:00:0b"
)

// allTargets tells whether this is make test-targets, or its short form.
func allTargets() bool { return os.Getenv("GOKDUMP_TARGETS") == "all" }

// nic is a NIC on QEMU's user network.
func nic(id, mac string) []string {
	return []string{"-netdev", "user,id=" + id, "-device", "virtio-net-pci,netdev=" + id + ",id=nic-" + id + ",mac=" + mac}
}

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
		s.Kill()
		if !t.Failed() {
			removeAsRoot(t, folder)
		}
	})
	return s
}

// nfsConfig names a server's export, for a guest that sees it at host.
func nfsConfig(s *nfsd.Server, host, version string) string {
	return fmt.Sprintf("nfs %s:%s\nnfs_version %s\nnfs_options port=%d,mountport=%d\npath %s\nhost smoke\n", host, nfsd.Export, version, s.Port, s.MountPort, lab.CrashDir)
}

// onServer is the one dump that a machine left on a server.
func onServer(t *testing.T, s *nfsd.Server, o *lab.Outcome) lab.Left {
	t.Helper()
	if err := s.Readable(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := lab.LeftIn(s.Dir + lab.CrashDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Report == nil {
		t.Fatalf("%d directories in %s, want 1 with a report; console: %s", len(all), s.Dir, o.Log)
	}
	return all[0]
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
			name: "v4.2-dhcp-with-a-dead-nic", host: "10.0.2.2", version: "4.2",
			network: "network dhcp on " + nicA + "\nnetwork dhcp on " + nicB,
			nics: func(t *testing.T) []string {
				sw := newSwitch(t, netswitch.Port{Dead: true})
				return append([]string{"-netdev", sw.Netdev(0, "dead"), "-device", "virtio-net-pci,netdev=dead,mac=" + nicA}, nic("live", nicB)...)
			},
			console: []string{"10.0.2.15/24 (DHCP from 10.0.2.2", "mounted by NFS 4.2"},
		},
		{
			name: "v3-static", long: true, host: "10.0.2.2", version: "3",
			network: "network 10.0.2.77/24 gateway 10.0.2.2 mtu 1400 on " + nicA,
			nics:    func(*testing.T) []string { return append(nic("a", nicA), nic("b", nicB)...) },
			console: []string{"10.0.2.77/24 (fixed)", "mounted by NFS 3"},
		},
		{
			name: "v4.1-vlan-over-bond", long: true, host: "10.0.2.2", version: "4.1",
			network: "bond bond0 on " + nicA + "," + nicB + " mode=active-backup miimon=100\nvlan v7 7 on bond0\nnetwork dhcp on v7",
			nics:    func(t *testing.T) []string { _, args := taggedNICs(t); return args },
			console: []string{"v7: 10.0.2.15/24 (DHCP", "mounted by NFS 4.1"},
		},
		{
			name: "auto-ipv6-slaac", long: true, server: nfsd.Options{V6: true}, host: "[fec0::2]", version: "auto",
			network: "network slaac",
			nics:    func(*testing.T) []string { return nic("a", nicA) },
			console: []string{"(SLAAC)", "mounted by NFS 4.2"},
		},
		{
			name: "v3-ipv6-static", long: true, server: nfsd.Options{V6: true}, host: "[fec0::2]", version: "3",
			network: "network fec0::77/64 on " + nicA,
			nics:    func(*testing.T) []string { return nic("a", nicA) },
			console: []string{"fec0::77/64 (fixed)", "mounted by NFS 3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.long && !allTargets() {
				t.Skip("make test-targets has this too")
			}
			s := nfsServer(t, tt.server)
			o := crash(t, lab.Story{
				Config: nfsConfig(s, tt.host, tt.version) + tt.network + "\n",
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
		"-netdev", sw.Netdev(0, "a"), "-device", "virtio-net-pci,netdev=a,mac=" + nicA,
		"-netdev", sw.Netdev(1, "b"), "-device", "virtio-net-pci,netdev=b,mac=" + nicB,
		"-netdev", "user,id=slirp", "-netdev", sw.Netdev(2, "uplink"),
		"-netdev", "hubport,id=h0,hubid=0,netdev=slirp", "-netdev", "hubport,id=h1,hubid=0,netdev=uplink",
	}
}

func removeAsRoot(t *testing.T, folder string) {
	t.Helper()
	if os.Geteuid() == 0 {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
		return
	}
	if _, err := debian.RunRoot(context.WithoutCancel(t.Context()), "rm", "-rf", folder); err != nil {
		t.Error(err)
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
		Config: nfsConfig(s, "10.0.2.2", "4.0") + "timeout address 8s\n",
		Extra:  nics,
		Network: &script.Network{
			Plan: plan.Network{
				Interfaces: []plan.Interface{
					{Name: "eth0", NIC: &plan.NIC{MAC: nicA}},
					{Name: "eth1", NIC: &plan.NIC{MAC: nicB}},
					{Name: "bond0", Bond: &plan.Bond{Over: []string{"eth0", "eth1"}, Mode: "active-backup", Options: []plan.BondOption{{Name: "miimon", Value: "100"}, {Name: "primary", Value: "eth1"}}}},
					{Name: "bond0.7", VLAN: &plan.VLAN{Over: "bond0", ID: 7}, DHCP4: true},
				},
				Deadlines: plan.DefaultNetworkDeadlines(),
			},
			Server: "10.0.2.2", Port: s.Port, Leased: true,
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
		"kdump-mkinitramfs: network: eth0, NIC "+nicA,
		"bond (active-backup) over eth0, eth1 miimon=100 primary=eth1",
		"VLAN 7 over kdump2: DHCP; when nobody answers 10.0.2.15/24, default via 10.0.2.2",
		"was mounted by NFS 4.0, and written",
		"DHCP: no answer", "10.0.2.15/24 (which the host had before)", "mounted by NFS 4.0")
	opensInDrgn(t, o, l.Path(capture.DumpName))
}

// What breaks on the way to a server, and what becomes of the dump then: it goes on
// when the way is there again, and to the next target when it is not.
func TestNFSFaults(t *testing.T) {
	if !allTargets() {
		t.Skip("make test-targets has this")
	}
	disk := "ext4 UUID=" + lab.DiskUUID + "\npath " + lab.CrashDir + "\n"
	for _, tt := range []struct {
		name    string
		server  nfsd.Options
		version string
		words   string
		// breaks breaks something when the machine has panicked.
		breaks  func(ctx context.Context, s *nfsd.Server, q *qemu.QMP) error
		onDisk  bool // it arrives on the disk
		console []string
	}{
		{
			name: "killed-before-mount", version: "4.2", onDisk: true,
			words:   "timeout mount 15s\n",
			breaks:  func(_ context.Context, s *nfsd.Server, _ *qemu.QMP) error { s.Kill(); return nil },
			console: []string{"no NFS server listens there", "now the next target"},
		},
		{
			name: "killed-in-copy", version: "4.1", onDisk: true,
			words: "timeout stall 60s\n",
			breaks: func(ctx context.Context, s *nfsd.Server, _ *qemu.QMP) error {
				err := copying(ctx, s)
				s.Kill()
				return err
			},
			console: []string{"now the next target"},
		},
		{
			name: "killed-in-copy-v3", version: "3", onDisk: true,
			words: "timeout stall 60s\n",
			breaks: func(ctx context.Context, s *nfsd.Server, _ *qemu.QMP) error {
				err := copying(ctx, s)
				s.Kill()
				return err
			},
			console: []string{"now the next target"},
		},
		{
			name: "killed-in-copy-and-back", version: "4.2",
			breaks: func(ctx context.Context, s *nfsd.Server, _ *qemu.QMP) error {
				err := copying(ctx, s)
				s.Kill()
				wait(ctx, 20*time.Second)
				return errors.Join(err, s.Restart(ctx))
			},
		},
		{
			name: "cable-pulled-in-copy", version: "4.2", onDisk: true,
			words: "timeout stall 60s\n",
			breaks: func(ctx context.Context, s *nfsd.Server, q *qemu.QMP) error {
				return errors.Join(copying(ctx, s), cable(ctx, q, false))
			},
			console: []string{"now the next target"},
		},
		{
			name: "cable-pulled-in-copy-and-back", version: "3",
			breaks: func(ctx context.Context, s *nfsd.Server, q *qemu.QMP) error {
				err := errors.Join(copying(ctx, s), cable(ctx, q, false))
				wait(ctx, 20*time.Second)
				return errors.Join(err, cable(ctx, q, true))
			},
		},
		{
			name: "root-squashed", version: "4.2", onDisk: true, server: nfsd.Options{RootSquash: true},
			console: []string{"no_root_squash", "now the next target"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := nfsServer(t, tt.server)
			monitor, err := os.MkdirTemp("", "qmp")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(monitor)
			socket := filepath.Join(monitor, "m")
			var broke time.Time
			o := crash(t, lab.Story{
				MemoryMiB: 640,
				Config:    nfsConfig(s, "10.0.2.2", tt.version) + "codec none\nlevel 0\nnetwork dhcp on " + nicA + "\n" + tt.words + disk,
				Disk:      qemu.Disk{SizeMiB: 1024, FSType: "ext4", UUID: lab.DiskUUID},
				Extra:     append(nic("a", nicA), qemu.QMPArgs(socket)...),
				Timeout:   8 * time.Minute,
				Talk: func(ctx context.Context, _ *qemu.VM) error {
					if tt.breaks == nil {
						return nil
					}
					q, err := qemu.DialQMP(ctx, socket)
					if err != nil {
						return err
					}
					defer q.Close()
					broke = time.Now()
					return tt.breaks(ctx, s, q)
				},
			})
			if !broke.IsZero() {
				t.Logf("%.0f s from the fault to the end", time.Since(broke).Seconds())
			}
			console(t, o, append(tt.console, "reboot: Restarting system")...)
			var l lab.Left
			if tt.onDisk {
				l = left(t, o)
			} else {
				l = onServer(t, s, o)
			}
			r := l.Report
			if r.Result != capture.Complete || r.LeftOutPages != 0 {
				t.Errorf("report: %s, error %q, %d pages left out", r.Result, r.Error, r.LeftOutPages)
			}
			// That the server failed is known from the dump that lies elsewhere.
			if told := slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, "target nfs 10.0.2.2") }); told != tt.onDisk {
				t.Errorf("report warns: %q", r.Warnings)
			}
			logSaved(t, l)
			if out, code := command(t, "kdump-vmcore", "verify", l.Path(capture.DumpName)); code != 0 {
				t.Errorf("kdump-vmcore verify: exit %d\n%s", code, out)
			}
		})
	}
}

// copying waits until a server has some MiB of a dump.
func copying(ctx context.Context, s *nfsd.Server) error {
	for ctx.Err() == nil {
		names, err := filepath.Glob(filepath.Join(s.Dir+lab.CrashDir, "*", "vmcore*"))
		if err != nil {
			return err
		}
		for _, n := range names {
			if st, err := os.Stat(n); err == nil && st.Size() > 40<<20 {
				return nil
			}
		}
		wait(ctx, 50*time.Millisecond)
	}
	return context.Cause(ctx)
}

// cable pulls or plugs the cable of nic a.
func cable(ctx context.Context, q *qemu.QMP, up bool) error {
	_, err := q.Do(ctx, "set_link", map[string]any{"name": "nic-a", "up": up})
	return err
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
