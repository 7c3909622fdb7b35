package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/initramfs"
	"github.com/gokdump/gokdump/initramfs/drivers"
	"github.com/gokdump/gokdump/initramfs/modules"
)

// flags of building an image.
type flags struct {
	out, kernel, root, config, compress, drivers, init, host, reservation, network string

	ifNeeded, verbose bool
	// given holds the flags that were on the command line: an empty list of drivers
	// is not the same as none.
	given map[string]bool
}

func parseFlags(args []string) (*flags, error) {
	f := &flags{given: map[string]bool{}}
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.StringVar(&f.out, "o", "", "")
	set.StringVar(&f.kernel, "kernel", "", "")
	set.StringVar(&f.root, "root", "/", "")
	set.StringVar(&f.config, "config", "", "")
	set.StringVar(&f.compress, "compress", "", "")
	set.StringVar(&f.drivers, "drivers", "", "")
	set.StringVar(&f.init, "init", "", "")
	set.StringVar(&f.host, "host", "", "")
	set.StringVar(&f.reservation, "reservation", "", "")
	set.StringVar(&f.network, "network", "", "")
	set.BoolVar(&f.ifNeeded, "if-needed", false, "")
	set.BoolVar(&f.verbose, "v", false, "")
	if _, err := parse(set, args, 0); err != nil {
		return nil, err
	}
	set.Visit(func(g *flag.Flag) { f.given[g.Name] = true })
	for _, n := range []string{"o", "kernel", "config", "init", "host", "compress", "reservation", "network"} {
		if f.given[n] && set.Lookup(n).Value.String() == "" {
			return nil, misuse("flag -%s has an empty value", n)
		}
	}
	return f, nil
}

// build makes the image: everything is resolved and packed in memory, so that what
// fails leaves the image on disk as it was.
func (p *program) build(ctx context.Context, args []string) error {
	f, err := parseFlags(args)
	if err != nil {
		return err
	}
	m, err := newMachine(f)
	if err != nil {
		return err
	}
	tree, err := modules.Open(m.root, m.release)
	if err != nil {
		return err
	}
	cfg, err := m.loadConfig(f)
	if err != nil {
		return err
	}
	for _, n := range cfg.Notes {
		p.say("note", n)
	}
	if m.unnamed && cfg.Host == "" {
		p.say("note", "nothing tells the machine's name, so dumps will be called localhost-DATE; name it with --host")
	}
	if f.network != "" {
		if err := cfg.SetNetwork(f.network); err != nil {
			return misuse("--network: %v", err)
		}
	}
	pl, err := cfg.Plan(m.host(ctx))
	if err != nil {
		return err
	}
	p.showNetwork(m, pl)
	p.tryNFS(ctx, m, pl)
	wants, notes, err := m.wants(ctx, f, tree, pl, cfg.ExtraModules)
	if err != nil {
		return err
	}
	for _, n := range append(m.notes, notes...) {
		p.say("note", n)
	}
	init, initPath, err := findInit(f.init, pl.Features())
	if err != nil {
		return err
	}
	files, err := m.files(cfg.ImageFiles(pl))
	if err != nil {
		return err
	}
	unlocked, err := unlock(ctx, pl, files)
	if err != nil {
		return err
	}
	for _, n := range append(unlocked, ruleNotes(pl, files)...) {
		p.say("note", n)
	}
	comp, err := m.compression(f.compress)
	if err != nil {
		return err
	}
	var image bytes.Buffer
	rep, err := initramfs.Build(&image, initramfs.Options{Plan: pl, Tree: tree, Wants: wants, Files: files, Init: init, Compression: comp})
	if err != nil {
		return err
	}
	for _, name := range rep.NoFirmware {
		p.say("warning", fmt.Sprintf("firmware %s is left out: with it there would be more than %s", name, size(modules.MaxFirmware)))
	}
	if err := hasDisk(rep.Modules); err != nil {
		return err
	}
	need := initramfs.NeedOf(m.root, m.release, rep.Size)
	if err := m.fits(need); err != nil {
		return err
	}
	if f.verbose {
		p.describe(rep, initPath, len(init), need)
	}
	out := f.out
	if out == "" {
		out = filepath.Join(stateDir, "kdump-"+m.release+".img")
	}
	return p.store(out, f, image.Bytes(), rep, comp)
}

// hasDisk refuses an image that was to carry the common drivers and has none.
func hasDisk(set *modules.Set) error {
	common := drivers.Common()
	for _, w := range common {
		if !slices.Contains(set.Absent, w) {
			return nil
		}
	}
	return withHint(fmt.Errorf("the kernel has none of the common disk drivers (%s and others)", common[0].Name), "name the target's with --drivers")
}

// describe says on stderr what went in, for -v.
func (p *program) describe(rep *initramfs.Report, initPath string, initSize int, need initramfs.Need) {
	p.say("info", fmt.Sprintf("kernel %s, host %s", rep.Plan.Kernel, rep.Plan.Host))
	for _, t := range rep.Plan.Targets {
		p.say("info", fmt.Sprintf("target %s %s", t, t.Options))
	}
	p.say("info", fmt.Sprintf("init %s, %s", initPath, size(int64(initSize))))
	for _, m := range rep.Modules.Modules {
		p.say("info", fmt.Sprintf("module %s, %s (%s)", m.Name, size(int64(len(m.Data))), m.For))
	}
	for _, b := range rep.Firmware {
		p.say("info", fmt.Sprintf("firmware %s (%s)", b.Name, b.For))
	}
	if b := rep.Modules.Builtin; len(b) > 0 {
		p.say("info", "built into the kernel: "+strings.Join(b, ", "))
	}
	for _, a := range rep.Modules.Absent {
		p.say("info", fmt.Sprintf("not there, and not required: %s (%s)", a.Name, a.For))
	}
	p.say("info", fmt.Sprintf("memory needed to start: about %s", size(need.Total())))
}

func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20))
}

const stateDir = "/var/lib/gokdump"
