package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/drivers"
	"github.com/gokdump/gokdump/initramfs/modules"
)

// wants decides which modules are asked for: the targets' drivers, what the
// configuration adds, and the watchdog's.
func (m *machine) wants(ctx context.Context, f *flags, tree *modules.Tree, p *plan.Plan, extra []string) (w []modules.Want, notes []string, err error) {
	if f.given["drivers"] {
		for _, d := range strings.FieldsFunc(f.drivers, func(r rune) bool { return r == ',' || r == ' ' }) {
			w = append(w, modules.Want{Name: d, For: "--drivers"})
		}
	}
	for _, t := range p.Targets {
		var more []modules.Want
		var note string
		switch t.Kind {
		case plan.KindFS:
			if !f.given["drivers"] {
				more, note, err = m.diskWants(ctx, tree, t.Device)
			}
			more = append(more, modules.Want{Name: t.FSType, For: "the target's file system"})
		case plan.KindRaw:
			if !f.given["drivers"] {
				more, note, err = m.diskWants(ctx, tree, t.Device)
			}
		case plan.KindNFS:
			more = nfsWants(t)
		}
		more = append(more, layerWants(t.Device)...)
		if err != nil {
			return nil, nil, fmt.Errorf("target %s: %w", t, err)
		}
		if note != "" && !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
		for _, x := range more {
			if !slices.Contains(w, x) {
				w = append(w, x)
			}
		}
	}
	if p.Network != nil {
		more, more2, err := m.netWants(f, tree, p.Network)
		if err != nil {
			return nil, nil, err
		}
		w, notes = append(w, more...), append(notes, more2...)
	}
	for _, e := range extra {
		w = append(w, modules.Want{Name: e, For: "extra_modules"})
	}
	if _, err := os.Stat("/sys/firmware/efi"); err == nil && m.running != "" {
		w = append(w, modules.Want{Name: "efivarfs", For: "the log where no target takes it", Optional: true})
	}
	if m.running != "" {
		chain, err := drivers.Host{}.Watchdog()
		if err != nil {
			notes = append(notes, err.Error())
		}
		for _, d := range drivers.Wants(tree, m.running, chain) {
			d.Optional, d.For = true, "the watchdog, "+d.For
			w = append(w, d)
		}
	}
	return w, notes, nil
}

// diskWants are the drivers of a block device: this host's, or the common ones
// when it is not here.
func (m *machine) diskWants(ctx context.Context, tree *modules.Tree, d plan.Device) ([]modules.Want, string, error) {
	if m.running == "" {
		return drivers.Common(), "the image is for another machine, so it carries the common disk drivers; name the ones that it needs with --drivers to have a smaller image", nil
	}
	disk, err := drivers.Host{}.Find(ctx, d)
	if errors.Is(err, blkid.ErrNotFound) {
		return drivers.Common(), fmt.Sprintf("this host has no device %s now, so the image carries the common disk drivers; name the ones that it needs with --drivers", d), nil
	}
	if err != nil {
		return nil, "", err
	}
	stack, err := drivers.Host{}.Stack(disk)
	if err != nil {
		return nil, "", err
	}
	var w []modules.Want
	for _, d := range stack.Disks {
		chain, err := drivers.Host{}.Chain(d)
		if err != nil {
			return nil, "", err
		}
		for _, x := range drivers.Wants(tree, m.running, chain) {
			if !slices.Contains(w, x) {
				w = append(w, x)
			}
		}
	}
	return w, "", nil
}

// layerWants are what puts a device together.
func layerWants(d plan.Device) []modules.Want {
	var w []modules.Want
	for _, l := range d.Layers {
		names := []string{"dm_mod"}
		switch l.Kind {
		case plan.LayerMD:
			names = []string{"raid1"}
		case plan.LayerLUKS: // nothing loads an algorithm on demand
			names = []string{"dm_crypt", "ecb", "xts", "crypto-aes"}
		}
		for _, name := range names {
			if x := (modules.Want{Name: name, For: l.String()}); !slices.Contains(w, x) {
				w = append(w, x)
			}
		}
	}
	return w
}
