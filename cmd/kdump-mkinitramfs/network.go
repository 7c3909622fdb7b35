package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gokdump/gokdump/capture/notify"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/drivers"
	"github.com/gokdump/gokdump/initramfs/hostnet"
	"github.com/gokdump/gokdump/initramfs/modules"
	"github.com/gokdump/gokdump/initramfs/nfs"
)

// network completes what is said of the network with what this host knows; of
// nothing, it gives this host's own way to servers, and where there is one to those
// that can be done without. What it finds stays in m.net.
func (m *machine) network(described *plan.Network, servers, also []netip.Addr) (*plan.Network, error) {
	now, err := hostnet.Read(m.root)
	if err != nil {
		return nil, err
	}
	const say = "say in kdump.conf what the crash kernel is to use, as in: network dhcp on eth0"
	if described != nil {
		m.net, err = now.Resolve(described)
	} else {
		m.net, err = now.Detect(servers, plan.DefaultNetworkDeadlines(), also...)
	}
	if err != nil {
		return nil, withHint(err, say)
	}
	return m.net.Network, nil
}

// showNetwork says what the crash kernel will use.
func (p *program) showNetwork(m *machine, pl *plan.Plan) {
	if pl.Network == nil {
		return
	}
	for _, line := range hostnet.Describe(pl.Network) {
		p.say("network", line)
	}
	if m.net != nil {
		for _, n := range m.net.Notes {
			p.say("note", n)
		}
	}
	for _, t := range pl.Targets {
		if name, addresses := t.Server(); addresses != nil {
			if _, err := netip.ParseAddr(name); err != nil {
				p.say("network", fmt.Sprintf("%s is %v", name, *addresses))
			}
		}
	}
	switch n := pl.Notify; {
	case n == nil:
	case len(n.Addresses) == 0:
		p.say("warning", fmt.Sprintf("notify: nobody knows now where %s is: the crash kernel will ask DNS, and this host posts what it could not", notify.Host(n.URL)))
	default:
		p.say("network", fmt.Sprintf("%s is %v", notify.Host(n.URL), n.Addresses))
	}
}

// probeLimit bounds the trial of an export.
const probeLimit = 30 * time.Second

// tryNFS mounts and writes the exports now, while somebody can still do something
// about them. A server that is down today may be up when the machine crashes, so
// the image is built all the same.
func (p *program) tryNFS(ctx context.Context, m *machine, pl *plan.Plan) {
	for _, t := range pl.Targets {
		if t.Kind != plan.KindNFS || m.running == "" {
			continue
		}
		err := errors.New("no address is known")
		var version string
		for _, a := range t.NFS.Addresses {
			ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("%v have passed", probeLimit))
			version, err = nfs.Probe(ctx, *t.NFS, netip.MustParseAddr(a), t.Options, t.Path)
			cancel()
			if err == nil || errors.Is(err, nfs.ErrNotTried) {
				break
			}
		}
		switch {
		case err == nil:
			p.say("network", fmt.Sprintf("%s was mounted by NFS %s, and written", t, version))
		case errors.Is(err, nfs.ErrNotTried):
			p.say("note", fmt.Sprintf("%s: %v", t, err))
		default:
			p.say("warning", fmt.Sprintf("%s: a dump would fail now: %v", t, err))
		}
	}
}

// netWants are the drivers of NICs, and what VLANs and bonds need.
func (m *machine) netWants(f *flags, tree *modules.Tree, n *plan.Network) (w []modules.Want, notes []string, err error) {
	switch {
	case f.given["drivers"]:
	case m.net == nil:
		w = drivers.CommonNICs()
		notes = append(notes, "the image is for another machine, so it carries the drivers of common NICs; name the ones that it needs with --drivers to have a smaller image")
	default:
		for _, nic := range m.net.NICs {
			chain, err := drivers.Host{}.NIC(nic)
			if err != nil {
				return nil, nil, err
			}
			w = append(w, drivers.Wants(tree, m.running, chain)...)
		}
	}
	has := func(kind func(plan.Interface) bool) bool { return slices.ContainsFunc(n.Interfaces, kind) }
	if has(func(i plan.Interface) bool { return i.VLAN != nil }) {
		w = append(w, modules.Want{Name: "8021q", For: "VLANs"})
	}
	if has(func(i plan.Interface) bool { return i.Bond != nil }) {
		w = append(w, modules.Want{Name: "bonding", For: "bonds"})
	}
	// Most kernels have these built in.
	if has(func(i plan.Interface) bool { return i.DHCP4 }) {
		w = append(w, modules.Want{Name: "af_packet", For: "DHCP", Optional: true})
	}
	return append(w, modules.Want{Name: "ipv6", For: "IPv6", Optional: true}), notes, nil
}

// nfsWants are the modules of an NFS client, which nothing loads on demand in the
// crash kernel; what they need comes with them.
func nfsWants(t plan.Target) []modules.Want {
	const why = "the target's file system"
	v4, v3 := modules.Want{Name: "nfsv4", For: why}, modules.Want{Name: "nfsv3", For: why}
	w := []modules.Want{{Name: "nfs", For: why}}
	switch t.NFS.Version {
	case "3":
		return append(w, v3)
	case plan.NFSAuto:
		v3.Optional = true
		return append(w, v4, v3)
	}
	return append(w, v4)
}
