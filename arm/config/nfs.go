package config

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/nfs"
)

// nfsTarget takes nfs HOST:/EXPORT; an address of IPv6 stands in brackets.
func (p *parser) nfsTarget(word, value string) {
	v, ok := p.unquote(word, value)
	if !ok {
		return
	}
	host, export, ok := strings.Cut(v, ":/")
	dots := slices.Contains(strings.Split(export, "/"), "..")
	export = path.Clean("/" + export)
	if in, bracket := strings.CutPrefix(host, "["); bracket {
		in, ok = strings.CutSuffix(in, "]")
		host = in
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() || a.Zone() != "" {
			ok = false
		}
	} else if strings.Contains(host, ":") {
		p.errorf("%s %s: write an address of IPv6 in brackets, as in [2001:db8::1]:/export", word, v)
		return
	}
	if !ok || host == "" || dots {
		p.errorf("%s %s: want HOST:/EXPORT", word, v)
		return
	}
	version := plan.NFSAuto
	p.addTarget(Target{Kind: plan.KindNFS, NFS: &plan.NFS{Host: host, Export: export, Version: version}})
}

// lastNFS is the target that a word about NFS belongs to.
func (p *parser) lastNFS(word string) *Target {
	t := p.lastTarget()
	if t == nil || t.Kind != plan.KindNFS {
		p.errorf("%s: it belongs below the line of an nfs target", word)
		return nil
	}
	return t
}

func (p *parser) nfsVersion(word, value string) {
	t := p.lastNFS(word)
	if t == nil {
		return
	}
	if value == "4" {
		value = "4.0"
	}
	known := append(plan.NFSVersions(), plan.NFSAuto)
	if !slices.Contains(known, value) {
		p.errorf("%s %s is not known: want %s", word, clip(value), strings.Join(known, ", "))
		return
	}
	t.NFS.Version = value
}

func (p *parser) nfsOptions(word, value string) {
	t := p.lastNFS(word)
	if t == nil {
		return
	}
	if err := nfs.CheckOptions(value); err != nil {
		p.errorf("%s: %v", word, err)
		return
	}
	t.Options = value
}
