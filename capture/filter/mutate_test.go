package filter_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/capturetest/spoil"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// forLog tells that the filter has no use for a key.
func forLog(key string) bool {
	for _, s := range []string{"printk", "prb", "latched_seq", "atomic_long", "clear_seq", "log_"} {
		if strings.Contains(key, s) {
			return true
		}
	}
	return false
}

// manyKinds has pages of all kinds, with neighbours that would be lost if a
// block were taken for larger than it is.
var manyKinds = slices.Concat(
	[]synth.Run{{Kind: synth.Free, Order: 3, Count: 30}, {Kind: synth.Kernel, Count: 7}, {Kind: synth.Free, Order: 1, Count: 9}, {Kind: synth.PCP, Count: 6}},
	[]synth.Run{{Kind: synth.Slab, Order: 1, Count: 20}, {Kind: synth.Slab, Order: 2, Count: 20}, {Kind: synth.Slab, Order: 3, Count: 20}},
	allKinds,
	[]synth.Run{{Kind: synth.CompoundKernel, Order: 2, Count: 3}, {Kind: synth.CompoundKernel, Order: 5}, {Kind: synth.CompoundKernel, Order: 9}},
	[]synth.Run{{Kind: synth.Kernel, Count: 300}},
)

// noise writes into the struct pages what kernels leave there: a stale index,
// data of drivers, the address of a memory cgroup, many references.
func noise(m *synth.Machine) {
	n := uint64(0)
	for _, r := range m.Runs {
		for pfn := r.PFN; pfn < r.PFN+r.Pages(); pfn++ {
			n++
			p := m.StructPage(pfn)
			switch r.Kind {
			case synth.Kernel:
				m.Put64(p+32, n%19)
				m.Put64(p+56, 0xffff888000000002|n<<24)
				m.Put32(p+52, uint32(n%256+1))
				if n%3 == 0 {
					m.Put64(p+40, 0xffff888012345600+n*0x01000008)
				}
			case synth.Anon, synth.Cache, synth.CachePrivate:
				m.Put64(p+32, n)
				m.Put64(p+56, 0xffff8880f1000000|n<<12)
			case synth.Free:
				m.Put64(p+32, n%11)
			}
		}
	}
}

// scanText scans with another VMCOREINFO, as a capture would.
func scanText(t testing.TB, src vmcore.Source, text []byte, level int) *filter.Result {
	t.Helper()
	info, err := kernel.ParseInfo(text)
	if err != nil {
		info = nil
	}
	res, err := filter.Scan(context.Background(), src, info, filter.Options{Level: level, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if info != nil {
		res.Warnings = append(res.Warnings, info.Malformed...)
	}
	return res
}

// notLess fails when bad lacks a page of good, or grew in silence.
func notLess(t testing.TB, what string, good, bad *filter.Result, m *synth.Machine) {
	t.Helper()
	lost, more := uint64(0), uint64(0)
	var first string
	for pfn := range good.Keep.Limit() {
		switch a, b := good.Keep.Has(pfn), bad.Keep.Has(pfn); {
		case a && !b:
			if lost++; lost == 1 {
				first = fmt.Sprintf("%#x (%s)", pfn, kindOf(m, pfn))
			}
		case b && !a:
			more++
		}
	}
	if lost > 0 {
		t.Errorf("%s: %d pages are lost, the first is %s; warnings %q", what, lost, first, bad.Warnings)
	}
	if more > 0 && len(bad.Warnings) <= len(good.Warnings) {
		t.Errorf("%s: %d pages more are kept, and nothing is said", what, more)
	}
}

// spoiledEras are the machines to spoil.
var spoiledEras = map[string]synth.Options{
	"6.1":     {KASLR: 0x1a000000},
	"6.4":     {Era: &synth.V64},
	"6.6":     {Era: &synth.V66},
	"6.12":    {Era: &synth.V612, Level5: true},
	"7.1":     {Era: &synth.V71, SMEMask: 1 << 51},
	"classic": {Model: synth.Sparse},
	"flatmem": {Model: synth.FlatMem},
}

// manifold is a machine of an era with pages of all kinds.
func manifold(opt synth.Options) *synth.Machine {
	opt.RAM = synth.Ranges(0x1000, 0x9fc00, 0x100000, 0x5000000, 0x8000000, 0x8800000)
	opt.Runs = manyKinds
	if opt.Era == &synth.V71 {
		opt.Runs = append(slices.Clone(opt.Runs), synth.Run{Kind: synth.Unaccepted})
	}
	m := synth.New(opt)
	noise(m)
	return m
}

// TestSpoiledInfo spoils each key of VMCOREINFO in each way: the dump may grow,
// but no page of a good run is lost, and what grows is told.
func TestSpoiledInfo(t *testing.T) {
	e := newEffects()
	t.Run("eras", func(t *testing.T) {
		for name, opt := range spoiledEras {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				levels := []int{31}
				if name == "6.1" || name == "6.12" {
					levels = []int{31, 2, 8, 16, 0}
				}
				spoilEra(t, manifold(opt), levels, e)
			})
		}
	})
	if !t.Failed() {
		e.check(t)
	}
}

// spoilEra spoils the keys of one machine, at each level.
func spoilEra(t *testing.T, m *synth.Machine, levels []int, e *effects) {
	src := flatten(m)
	for _, level := range levels {
		good := scanText(t, src, m.Info, level)
		if len(good.Warnings) > 0 {
			t.Fatalf("level %d: warnings %q", level, good.Warnings)
		}
		for _, text := range spoil.Each(m.Info, func(key string) bool { return !forLog(key) }) {
			bad := scanText(t, src, text.Info, level)
			notLess(t, fmt.Sprintf("level %d: %v", level, text), good, bad, m)
			if level == 31 {
				e.add(text.Key, text.How, good, bad)
			}
		}
	}
}
