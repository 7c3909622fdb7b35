package filter_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
)

// No bit in place of PG_hwpoison's costs a page, and poisoned pages that are kept are
// told of.
func TestWrongPoisonBit(t *testing.T) {
	key := regexp.MustCompile(`(?m)^NUMBER\(PG_hwpoison\)=.*$`)
	release := regexp.MustCompile(`(?m)^OSRELEASE=.*$`)
	for name, opt := range spoiledEras {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := manifold(opt)
			for _, r := range m.Runs {
				switch r.Kind {
				case synth.HWPoison: // one that was taken from the free pages
					m.Put64(m.StructPage(r.PFN)+40, 0x48575053)
				case synth.Anon: // locked into memory
					for pfn := r.PFN; pfn < r.PFN+r.Pages(); pfn++ {
						p := m.StructPage(pfn)
						m.Put64(p, m.Get64(p)|3<<(m.Opt.Era.HWPoison-2))
					}
				}
			}
			src := flatten(m)
			for _, newer := range []bool{false, true} {
				info := m.Info
				if newer && name != "6.12" && name != "7.1" {
					continue // other keys would be missing
				}
				if newer {
					info = release.ReplaceAll(info, []byte("OSRELEASE=99.0.0"))
				}
				for _, level := range []int{0, 2, 8, 31} {
					good := scanText(t, src, info, level)
					if good.Counts[filter.HWPoison] == 0 {
						t.Fatalf("level %d: no page is poisoned", level)
					}
					for bit := range 64 {
						wrong := key.ReplaceAll(info, fmt.Appendf(nil, "NUMBER(PG_hwpoison)=%d", bit))
						notLess(t, fmt.Sprintf("level %d, newer %v: PG_hwpoison is %d", level, newer, bit), good, scanText(t, src, wrong, level), m)
					}
				}
			}
		})
	}
}

// The flag on the first page of a compound page is that page's own, but that of a
// hugetlb page stands for any of its pages.
func TestPoisonedHead(t *testing.T) {
	for _, era := range []*synth.Era{&synth.V61, &synth.V66, &synth.V612, &synth.V71} {
		m := synth.New(synth.Options{Era: era, Runs: []synth.Run{
			{Kind: synth.CompoundKernel, Order: 3}, {Kind: synth.Hugetlb, Order: 9}, {Kind: synth.Free, Order: 3},
		}})
		for _, r := range m.Runs[:2] {
			flags := m.StructPage(r.PFN)
			m.Put64(flags, m.Get64(flags)|1<<era.HWPoison)
		}
		res := scan(t, m, filter.Options{Level: 2})
		if got := res.Counts[filter.HWPoison]; got != 1+512 || res.Keep.Has(m.Runs[0].PFN) || !res.Keep.Has(m.Runs[0].PFN+1) {
			t.Errorf("%s: %d pages are poisoned, want 1 and 512; warnings %q", era.Release, got, res.Warnings)
		}
	}
}
