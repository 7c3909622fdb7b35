package filter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

func scan(t testing.TB, m *synth.Machine, opt filter.Options) *filter.Result {
	t.Helper()
	return scanSource(t, m.Source(), opt)
}

func scanSource(t testing.TB, src vmcore.Source, opt filter.Options) *filter.Result {
	t.Helper()
	info, err := kernel.ParseInfo(src.VMCoreInfo())
	if err != nil {
		t.Fatal(err)
	}
	res, err := filter.Scan(context.Background(), src, info, opt)
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for _, n := range res.Counts {
		sum += n
	}
	if sum != res.RAM.Len() || res.Counts[filter.Kept] != res.Keep.Len() {
		t.Errorf("counts %v do not add up to %d pages, %d kept", res.Counts, res.RAM.Len(), res.Keep.Len())
	}
	for pfn := range res.RAM.Limit() {
		if res.Keep.Has(pfn) && !res.RAM.Has(pfn) || res.First != nil && res.First.Has(pfn) && !res.Keep.Has(pfn) {
			t.Fatalf("pfn %#x: First is no part of Keep, or Keep none of RAM", pfn)
		}
	}
	return res
}

// dropped says which level bits drop a kind, and as what; 0 is never, -1 always.
var dropped = map[synth.Kind]struct {
	levels int
	class  filter.Class
}{
	synth.Free:         {16, filter.Free},
	synth.Anon:         {8, filter.User},
	synth.THP:          {8, filter.User},
	synth.Hugetlb:      {8, filter.User},
	synth.Cache:        {2 | 4, filter.Cache},
	synth.LargeFolio:   {2 | 4, filter.Cache},
	synth.SwapCache:    {2 | 4, filter.Cache},
	synth.CachePrivate: {4, filter.CachePrivate},
	synth.Offline:      {-1, filter.Offline},
	synth.HWPoison:     {-1, filter.HWPoison},
	synth.Unaccepted:   {16, filter.Free},
}

var allKinds = []synth.Run{
	{Kind: synth.Kernel, Count: 3}, {Kind: synth.Reserved}, {Kind: synth.PCP},
	{Kind: synth.Free, Order: 0, Count: 2}, {Kind: synth.Free, Order: 5}, {Kind: synth.Free, Order: synth.FreeAreaLength - 1},
	{Kind: synth.Anon, Count: 5}, {Kind: synth.Anon, Flags: 1 << 7 /* PG_waiters */},
	{Kind: synth.Cache, Count: 4}, {Kind: synth.CachePrivate, Count: 3}, {Kind: synth.SwapCache, Count: 2},
	{Kind: synth.Slab, Order: 3, Count: 2}, {Kind: synth.Slab}, {Kind: synth.Hugetlb, Order: 9},
	{Kind: synth.THP, Order: 9}, {Kind: synth.THP, Order: 2, Count: 3}, {Kind: synth.LargeFolio, Order: 4},
	{Kind: synth.CompoundKernel, Order: 1}, {Kind: synth.Offline, Count: 2}, {Kind: synth.HWPoison},
}

// TestLevels holds the outcome on machines of all eras and models against what
// each kind of page calls for, at every level.
func TestLevels(t *testing.T) {
	big := synth.Ranges(0x1000, 0x9fc00, 0x100000, 0x2000000, 0x8000000, 0x8800000)
	for name, opt := range map[string]synth.Options{
		"6.1":     {KASLR: 0x1a000000},
		"6.4":     {Era: &synth.V64},
		"6.6":     {Era: &synth.V66, SmallMap: true},
		"6.12":    {Era: &synth.V612, Level5: true},
		"7.1":     {Era: &synth.V71, SMEMask: 1 << 51},
		"classic": {Model: synth.Sparse},
		"flat":    {Model: synth.SparseFlat, Era: &synth.V612},
		"flatmem": {Model: synth.FlatMem},
	} {
		t.Run(name, func(t *testing.T) {
			opt.Runs, opt.RAM = allKinds, big
			if opt.Era == &synth.V71 {
				opt.Runs = append(opt.Runs[:len(opt.Runs):len(opt.Runs)], synth.Run{Kind: synth.Unaccepted})
			}
			m := synth.New(opt)
			for level := range filter.LevelMax + 1 {
				res := scan(t, m, filter.Options{Level: level, Workers: 1})
				if len(res.Warnings) > 0 {
					t.Errorf("level %d: warnings %q", level, res.Warnings)
				}
				want, counts := res.RAM.Clone(), map[filter.Class]uint64{}
				for _, r := range m.Runs {
					if d := dropped[r.Kind]; d.levels&level != 0 || d.levels < 0 {
						want.RemoveRange(r.PFN, r.PFN+r.Pages())
						counts[d.class] += r.Pages()
					}
				}
				for pfn := range want.Limit() {
					if want.Has(pfn) != res.Keep.Has(pfn) {
						t.Fatalf("level %d: pfn %#x kept: %v (%s)", level, pfn, res.Keep.Has(pfn), kindOf(m, pfn))
					}
				}
				counts[filter.Kept] = want.Len()
				for c := range filter.NumClasses {
					if counts[c] != res.Counts[c] {
						t.Errorf("level %d: %d pages are %v, want %d", level, res.Counts[c], c, counts[c])
					}
				}
			}
		})
	}
}

func kindOf(m *synth.Machine, pfn uint64) string {
	for _, r := range m.Runs {
		if r.PFN <= pfn && pfn < r.PFN+r.Pages() {
			return fmt.Sprintf("%+v", r)
		}
	}
	return "in no run"
}

// wide is a machine of many sections, so that workers meet; its hugetlb page
// of 1 GiB reaches over 8 of them.
func wide() *synth.Machine {
	return synth.New(synth.Options{
		RAM: synth.Ranges(0x1000, 0x9fc00, 0x100000, 0x4000000, 0x40000000, 0x90000000),
		Runs: []synth.Run{
			{Kind: synth.Hugetlb, Order: 18, PFN: 0x40000},
			{Kind: synth.Free, Order: 10, Count: 6, PFN: 0x80000}, {Kind: synth.Anon, Count: 77, PFN: 0x82001},
			{Kind: synth.Cache, Count: 3},
		},
	})
}

func TestWorkersAgree(t *testing.T) {
	m := wide()
	bitmap := func(s *pfnset.Set) []byte {
		b := make([]byte, (s.Limit()+7)/8)
		s.Bytes(b, 0)
		return b
	}
	one := scan(t, m, filter.Options{Level: 31, Workers: 1})
	if one.Keep.LenRange(0x40000, 0x80000) != 0 {
		t.Errorf("%d pages of the huge page are kept", one.Keep.LenRange(0x40000, 0x80000))
	}
	if one.Counts[filter.User] != 1<<18+77 || one.Counts[filter.Free] != 6<<10 {
		t.Errorf("counts %v", one.Counts)
	}
	for _, n := range []int{0, 2, 5, 100} {
		var calls, last uint64
		res := scan(t, m, filter.Options{Level: 31, Workers: n, Progress: func(done, total uint64) {
			if calls++; done < last || done > total {
				t.Errorf("progress %d after %d of %d", done, last, total)
			}
			last = done
		}})
		if !bytes.Equal(bitmap(res.Keep), bitmap(one.Keep)) || !bytes.Equal(bitmap(res.First), bitmap(one.First)) ||
			fmt.Sprint(res.Counts) != fmt.Sprint(one.Counts) {
			t.Errorf("%d workers differ from one", n)
		}
		if last != res.RAM.Len() || calls < 10 {
			t.Errorf("progress ended at %d of %d after %d calls", last, res.RAM.Len(), calls)
		}
	}
}

func TestFirst(t *testing.T) {
	m := synth.New(synth.Options{Runs: allKinds[:5], KASLR: 0x4000000})
	for _, level := range []int{0, 1, 31} {
		res := scan(t, m, filter.Options{Level: level})
		need := map[string]uint64{"init_uts_ns": m.Image.Start, "mem_section": m.SectionSlot(0)}
		for i, pa := range m.Tables {
			need[fmt.Sprint("table ", i)] = pa
		}
		for i, pa := range m.Stack {
			need[fmt.Sprint("stack ", i)] = pa
		}
		for i, r := range m.Maps {
			need[fmt.Sprint("struct pages ", i)] = r.Start
			need[fmt.Sprint("end of struct pages ", i)] = r.End - 1
		}
		for what, pa := range need {
			if !res.First.Has(pa / 4096) {
				t.Errorf("level %d: %s at %#x does not go first", level, what, pa)
			}
		}
		if n := res.First.Len(); n > 2000 {
			t.Errorf("level %d: %d of %d pages go first", level, n, res.Keep.Len())
		}
		if res.First.Has(m.Runs[0].PFN) {
			t.Errorf("level %d: any kernel page goes first", level)
		}
	}
}

func TestScanErrors(t *testing.T) {
	m := synth.New(synth.Options{})
	info, _ := kernel.ParseInfo(m.Info)
	for _, level := range []int{-1, 32} {
		if _, err := filter.Scan(context.Background(), m.Source(), info, filter.Options{Level: level}); err == nil || !strings.Contains(err.Error(), "between 0 and 31") {
			t.Errorf("level %d: %v", level, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, workers := range []int{1, 3} {
		if _, err := filter.Scan(ctx, m.Source(), info, filter.Options{Level: 31, Workers: workers}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled, %d workers: %v", workers, err)
		}
	}
	// in the middle of the work
	big := wide()
	info, _ = kernel.ParseInfo(big.Info)
	for _, workers := range []int{1, 3} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := filter.Scan(ctx, big.Source(), info, filter.Options{Level: 31, Workers: workers, Progress: func(uint64, uint64) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at the first section, %d workers: %v", workers, err)
		}
	}
	for _, r := range []vmcore.Range{{}, {Start: 1 << 52, End: 1<<52 + 4096}} {
		if _, err := filter.Scan(context.Background(), fake{m.Source(), r}, info, filter.Options{}); err == nil {
			t.Errorf("RAM %v is accepted", r)
		}
	}
}

// fake is a core that claims another RAM.
type fake struct {
	vmcore.Source
	r vmcore.Range
}

func (f fake) RAM() []vmcore.Range {
	if f.r.End == 0 {
		return nil
	}
	return []vmcore.Range{f.r}
}
