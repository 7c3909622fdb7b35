package filter_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

var someKinds = []synth.Run{
	{Kind: synth.Anon, Count: 8}, {Kind: synth.Cache, Count: 8}, {Kind: synth.Free, Order: 4}, {Kind: synth.THP, Order: 4},
}

// TestFailSafe spoils a machine; every page that depends on what was spoiled
// must stay, with a warning that says so, and the rest be judged as ever.
func TestFailSafe(t *testing.T) {
	// which of someKinds are kept when all goes well at level 31: none
	for name, tt := range map[string]struct {
		opt   synth.Options
		spoil func(m *synth.Machine)
		kept  []synth.Kind
		warn  string // "" expects none
	}{
		"nothing spoiled": {},
		"no mem_section":  {opt: synth.Options{Drop: []string{"SYMBOL(mem_section)"}}, kept: all, warn: "all pages are kept"},
		"no page.flags":   {opt: synth.Options{Drop: []string{"OFFSET(page.flags)"}}, kept: all, warn: "all pages are kept"},
		"no SIZE(page)":   {opt: synth.Options{Drop: []string{"SIZE(page)"}}, kept: all, warn: "all pages are kept"},
		"no phys_base":    {opt: synth.Options{Drop: []string{"NUMBER(phys_base)"}}, warn: "phys_base missing"},
		"flags outside":   {opt: override("OFFSET(page.flags)=60"), kept: all, warn: "all pages are kept"},
		"other page size": {opt: override("PAGESIZE=16384"), kept: all, warn: "16384"},
		"no buddy value":  {opt: synth.Options{Drop: []string{"NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"}}, kept: []synth.Kind{synth.Free}, warn: "free pages are kept"},
		"buddy value 0":   {opt: override("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=0"), kept: []synth.Kind{synth.Free}, warn: "is 0, and not -129"},
		"no free_area":    {opt: synth.Options{Drop: []string{"LENGTH(zone.free_area)"}}, kept: []synth.Kind{synth.Free}, warn: "free pages are kept"},
		"no PG_lru":       {opt: synth.Options{Drop: []string{"NUMBER(PG_lru)"}}, kept: []synth.Kind{synth.Cache}, warn: "page cache is not recognised"},
		"no PG_slab": {opt: synth.Options{Drop: []string{"NUMBER(PG_slab)"}},
			kept: []synth.Kind{synth.Anon, synth.Cache, synth.THP}, warn: "neither PG_slab"},
		"no PG_head_mask": {opt: synth.Options{Drop: []string{"NUMBER(PG_head_mask)"}}, kept: []synth.Kind{synth.THP}, warn: "PG_head_mask"},
		"no order key":    {opt: synth.Options{Drop: []string{"OFFSET(page.compound_order)"}}, kept: []synth.Kind{synth.THP}, warn: "order of compound pages"},
		"free order 11": {spoil: func(m *synth.Machine) { m.Put64(m.StructPage(m.Runs[2].PFN)+40, 11) },
			kept: []synth.Kind{synth.Free}, warn: "1 of 1 blocks of free pages have an order"},
		"free order huge": {spoil: func(m *synth.Machine) { m.Put64(m.StructPage(m.Runs[2].PFN)+40, 1<<63) },
			kept: []synth.Kind{synth.Free}, warn: "1 of 1 blocks of free pages have an order"},
		"free not aligned": {spoil: func(m *synth.Machine) { m.Put64(m.StructPage(m.Runs[2].PFN)+40, 10) },
			kept: []synth.Kind{synth.Free}, warn: "1 of 1 blocks of free pages have an order"},
		"THP without tails": {spoil: func(m *synth.Machine) { m.Put64(m.StructPage(m.Runs[3].PFN+1)+8, 0) },
			kept: []synth.Kind{synth.THP}, warn: "1 compound pages have no usable order"},
		"THP order 60": {spoil: func(m *synth.Machine) { m.Put(m.StructPage(m.Runs[3].PFN+1)+17, []byte{60}) },
			kept: []synth.Kind{synth.THP}, warn: "1 compound pages have no usable order"},
		"mapping is no pointer": {spoil: func(m *synth.Machine) {
			for i := range uint64(8) {
				m.Put64(m.StructPage(m.Runs[0].PFN+i)+24, 0x1234567)
			}
		}, kept: all, warn: "8 of "}, // what shares their page of struct pages, too
		"section is garbage": {spoil: func(m *synth.Machine) {
			for a := m.Maps[0].Start; a < m.Maps[0].End; a += 8 {
				m.Put64(a, a*0x9e3779b97f4a7c15&^(1<<8)|1<<63>>(a%128))
			}
		}, kept: all, warn: "look like garbage"},
		"section all ones": {spoil: func(m *synth.Machine) {
			for a := m.Maps[0].Start; a < m.Maps[0].End; a += 8 {
				m.Put64(a, ^uint64(0))
			}
		}, kept: all, warn: "never written"},
		"section absent": {spoil: func(m *synth.Machine) { m.Put64(m.SectionSlot(0), 0) }, kept: all, warn: "1 of 2 memory sections"},
		"section bad":    {spoil: func(m *synth.Machine) { m.Put64(m.SectionSlot(0), 0xabcdef) }, kept: all, warn: "1 sections decode, 1 do not"},
		"tables look free": {spoil: func(m *synth.Machine) {
			for _, pa := range m.Tables {
				m.Put64(m.StructPage(pa/4096)+48, 0xffffff7f)
			}
			for _, r := range m.Maps {
				for pa := r.Start; pa < r.End; pa += 4096 {
					m.Put64(m.StructPage(pa/4096)+48, 0xffffff7f)
				}
			}
		}, kept: all, warn: "not understood: all pages are kept"},
		"one table looks free": {spoil: func(m *synth.Machine) { m.Put64(m.StructPage(m.Tables[1]/4096)+48, 0xffffff7f) },
			warn: "1 pages that hold page tables"},
		"struct pages not mapped": {opt: synth.Options{SmallMap: true}, spoil: func(m *synth.Machine) {
			va := (m.VmemmapBase() + m.Runs[0].PFN*64) &^ 4095
			slot, _ := m.Entry(va)
			m.Put64(slot, 0)
		}, kept: all, warn: "64 struct pages cannot be read"},
		"struct pages not RAM": {opt: synth.Options{SmallMap: true}, spoil: func(m *synth.Machine) {
			va := (m.VmemmapBase() + m.Runs[0].PFN*64) &^ 4095
			slot, _ := m.Entry(va)
			m.Put64(slot, 0x70000063)
		}, kept: all, warn: "64 struct pages cannot be read"},
		"page tables gone": {spoil: func(m *synth.Machine) { m.Put(m.Root, make([]byte, 4096)) }, kept: all, warn: "all pages are kept"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opt.Runs = someKinds
			m := synth.New(tt.opt)
			if tt.spoil != nil {
				tt.spoil(m)
			}
			res := scan(t, m, filter.Options{Level: 31, Workers: 2})
			for _, r := range m.Runs {
				n := res.Keep.LenRange(r.PFN, r.PFN+r.Pages())
				keep := slices.Contains(tt.kept, r.Kind)
				if keep && n < r.Pages()-1 || !keep && n > 0 { // the head of a THP may go alone
					t.Errorf("%d of %d pages of kind %d are kept, want all: %v", n, r.Pages(), r.Kind, keep)
				}
			}
			for pfn := m.Image.Start / 4096; pfn < m.Image.End/4096; pfn++ {
				if !res.Keep.Has(pfn) {
					t.Fatalf("pfn %#x of the kernel image is dropped", pfn)
				}
			}
			text := strings.Join(res.Warnings, "\n")
			if tt.warn == "" && text != "" || !strings.Contains(text, tt.warn) {
				t.Errorf("warnings %q, want %q", res.Warnings, tt.warn)
			}
		})
	}
}

var all = []synth.Kind{synth.Anon, synth.Cache, synth.Free, synth.THP}

func override(line string) synth.Options {
	key, _, _ := strings.Cut(line, "=")
	return synth.Options{Drop: []string{key}, Extra: line + "\n"}
}

func TestNoInfo(t *testing.T) {
	m := synth.New(synth.Options{Runs: someKinds})
	res, err := filter.Scan(context.Background(), m.Source(), nil, filter.Options{Level: 31})
	if err != nil {
		t.Fatal(err)
	}
	if res.Keep.Len() != res.RAM.Len() || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "VMCOREINFO") {
		t.Errorf("%d of %d kept, warnings %q", res.Keep.Len(), res.RAM.Len(), res.Warnings)
	}
	if !res.First.Has(m.Image.Start / 4096) {
		t.Error("the kernel image does not go first")
	}
}

// Flags on pages of the kernel image are known to lie.
func TestImageStays(t *testing.T) {
	for _, alias := range []bool{true, false} {
		m := synth.New(synth.Options{Runs: someKinds, NoImageAlias: !alias})
		for pfn := m.Image.Start / 4096; pfn < m.Image.End/4096; pfn++ {
			m.Put64(m.StructPage(pfn), 1<<synth.V61.Reserved|1<<synth.V61.LRU)
		}
		res := scan(t, m, filter.Options{Level: 31})
		if n := res.Keep.LenRange(m.Image.Start/4096, m.Image.End/4096); n != (m.Image.End-m.Image.Start)/4096 {
			t.Errorf("alias %v: %d pages of the image are kept", alias, n)
		}
		if len(res.Warnings) > 0 || res.Counts[filter.User] != 8+16 {
			t.Errorf("alias %v: warnings %q, counts %v", alias, res.Warnings, res.Counts)
		}
	}
}

// A poisoned part of a compound page must not be read, whatever its head is.
func TestPoisonedTail(t *testing.T) {
	m := synth.New(synth.Options{Runs: []synth.Run{{Kind: synth.CompoundKernel, Order: 3}, {Kind: synth.Free}}})
	bad := m.Runs[0].PFN + 5
	m.Put64(m.StructPage(bad), 1<<synth.V61.HWPoison)
	for _, level := range []int{0, 31} {
		res := scan(t, m, filter.Options{Level: level})
		if res.Keep.Has(bad) || !res.Keep.Has(bad-1) || !res.Keep.Has(bad+1) || res.Counts[filter.HWPoison] != 1 {
			t.Errorf("level %d: %v", level, res.Counts)
		}
	}
}

// Pages that are RAM only in part belong to RAM and are judged.
func TestRaggedPages(t *testing.T) {
	m := synth.New(synth.Options{RAM: synth.Ranges(0x1000, 0x9fc00, 0x100400, 0x1000000)})
	res := scan(t, m, filter.Options{Level: 31})
	for _, pfn := range []uint64{1, 0x9f, 0x100} {
		if !res.RAM.Has(pfn) || !res.Keep.Has(pfn) {
			t.Errorf("pfn %#x: RAM %v, kept %v", pfn, res.RAM.Has(pfn), res.Keep.Has(pfn))
		}
	}
	if res.RAM.Has(0) || res.RAM.Has(0xa0) {
		t.Error("a page without RAM is RAM")
	}
}

// counting counts the reads of struct pages.
type counting struct {
	vmcore.Source
	m     *synth.Machine
	reads *int
}

func (c counting) NewReader() (vmcore.Reader, error) {
	r, err := c.Source.NewReader()
	return countingReader{r, c}, err
}

type countingReader struct {
	vmcore.Reader
	c counting
}

func (r countingReader) ReadPhys(p []byte, pa uint64) error {
	for _, x := range r.c.m.Maps {
		if pa >= x.Start && pa < x.End {
			*r.c.reads++
		}
	}
	return r.Reader.ReadPhys(p, pa)
}

// Each struct page is read once. Levels that drop nothing read them too, since a
// dump of all memory is the one that a full disk cuts short: slab must go first.
func TestReads(t *testing.T) {
	m := synth.New(synth.Options{Drop: []string{"NUMBER(PG_hwpoison)"}, Runs: []synth.Run{{Kind: synth.Offline}, {Kind: synth.Free}, {Kind: synth.Slab, Order: 3}}})
	slab := m.Runs[2].PFN
	for level, want := range map[int]int{0: 3, 1: 3, 2: 9} {
		n := 0
		res := scanSource(t, counting{m.Source(), m, &n}, filter.Options{Level: level, Workers: 1})
		// one for each RAM range: all are below 256 KiB of struct pages; and six to
		// prove the layout, where that decides anything
		if n != want {
			t.Errorf("level %d: %d reads, want %d", level, n, want)
		}
		if got := res.Counts[filter.Offline]; got != uint64(min(level/2, 1)) {
			t.Errorf("level %d: %d offline pages", level, got)
		}
		if got := res.First.LenRange(slab, slab+8); got != 8 {
			t.Errorf("level %d: %d of 8 slab pages go first", level, got)
		}
	}
}

// A core without readers is no core.
type noReader struct{ vmcore.Source }

var errNoReader = errors.New("no reader")

func (noReader) NewReader() (vmcore.Reader, error) { return nil, errNoReader }

func TestNoReader(t *testing.T) {
	m := synth.New(synth.Options{})
	info, _ := kernel.ParseInfo(m.Info)
	if _, err := filter.Scan(t.Context(), noReader{m.Source()}, info, filter.Options{}); !errors.Is(err, errNoReader) {
		t.Errorf("error %v", err)
	}
}

// A machine whose free pages are marked in a way we do not know.
func TestNoFreePages(t *testing.T) {
	m := synth.New(synth.Options{RAM: synth.Ranges(0x100000, 0x5000000), Runs: someKinds[:2]})
	res := scan(t, m, filter.Options{Level: 31})
	if !strings.Contains(strings.Join(res.Warnings, "\n"), "not one free page") || res.Counts[filter.User] != 8 {
		t.Errorf("warnings %q, counts %v", res.Warnings, res.Counts)
	}
}
