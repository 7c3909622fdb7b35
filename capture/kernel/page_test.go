package kernel_test

import (
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

// says is all that a PageLayout answers of one page, as letters.
func says(l *kernel.PageLayout, p, next []byte, pfn uint64) string {
	var b strings.Builder
	order, free := l.IsFree(p)
	co, huge := uint(0), false
	if l.IsHead(p) {
		co, huge = l.Compound(p, next, pfn)
	}
	for _, x := range []struct {
		name string
		yes  bool
	}{
		{"plain", l.IsPlain(p)}, {"uninit", l.IsUninit(p)}, {"tail", l.IsTail(p)}, {"head", l.IsHead(p)},
		{"slab", l.IsSlab(p)}, {"free", free}, {"unaccepted", l.IsUnaccepted(p)}, {"offline", l.IsOffline(p)},
		{"poison", l.IsPoisoned(p)}, {"anon", l.IsAnon(p)}, {"cache", l.IsCache(p)}, {"private", l.IsPrivate(p)},
		{"reserved", l.IsReserved(p)}, {"huge", huge}, {"absurd", !l.Plausible(p, l.TailWord(p)&^63+64)},
	} {
		if x.yes {
			b.WriteString(" " + x.name)
		}
	}
	if free && order > 0 {
		b.WriteString(" of " + string('0'+byte(order)))
	}
	if co > 0 {
		b.WriteString(" order " + string('0'+byte(co)))
	}
	return strings.TrimSpace(b.String())
}

func TestPageLayout(t *testing.T) {
	want := []struct {
		run  synth.Run
		says string
	}{
		{synth.Run{Kind: synth.Kernel}, "plain"},
		{synth.Run{Kind: synth.Reserved}, "reserved"},
		{synth.Run{Kind: synth.Free, Order: 7}, "free of 7"},
		{synth.Run{Kind: synth.Anon}, "anon cache"},
		{synth.Run{Kind: synth.Anon, Flags: 1 << 7}, "anon cache"},
		{synth.Run{Kind: synth.Cache}, "cache"},
		{synth.Run{Kind: synth.CachePrivate}, "cache private"},
		{synth.Run{Kind: synth.SwapCache}, "cache"},
		{synth.Run{Kind: synth.Slab, Order: 2}, "head slab order 2"},
		{synth.Run{Kind: synth.Slab}, "slab"},
		{synth.Run{Kind: synth.Hugetlb, Order: 9}, "head huge order 9"},
		{synth.Run{Kind: synth.THP, Order: 9}, "head anon cache order 9"},
		{synth.Run{Kind: synth.CompoundKernel, Order: 1}, "head order 1"},
		{synth.Run{Kind: synth.Offline}, "offline"},
		{synth.Run{Kind: synth.HWPoison}, "poison"},
	}
	for name, era := range map[string]*synth.Era{"6.1": &synth.V61, "6.4": &synth.V64, "6.6": &synth.V66, "6.12": &synth.V612, "7.1": &synth.V71} {
		opt := synth.Options{Era: era}
		for _, w := range want {
			opt.Runs = append(opt.Runs, w.run)
		}
		m := synth.New(opt)
		info, _ := open(t, m)
		l, err := kernel.NewPageLayout(info)
		if err != nil || len(l.Unknown) > 0 || l.FreeOrders != synth.FreeAreaLength {
			t.Fatalf("%s: %+v, %v", name, l, err)
		}
		for i, w := range want {
			p, next := make([]byte, 64), make([]byte, 64)
			pfn := m.Runs[i].PFN
			if err := m.ReadPhys(p, m.StructPage(pfn)); err != nil {
				t.Fatal(err)
			}
			if err := m.ReadPhys(next, m.StructPage(pfn+1)); err != nil {
				t.Fatal(err)
			}
			if got := says(l, p, next, pfn); got != w.says {
				t.Errorf("%s: page of %+v is %q, want %q", name, w.run, got, w.says)
			}
			if w.run.Order > 0 && w.run.Kind != synth.Free {
				if got := says(l, next, next, pfn+1); got != "tail" {
					t.Errorf("%s: second page of %+v is %q", name, w.run, got)
				}
				if o, _ := l.Compound(p, next, pfn+1); o != 0 {
					t.Errorf("%s: order %d of a page that is not aligned", name, o)
				}
				if o, _ := l.Compound(p, p, pfn); o != 0 {
					t.Errorf("%s: order %d without a tail", name, o)
				}
			}
		}
	}
}

// The slab allocator keeps its own numbers where other pages have _mapcount and
// mapping: they must not be taken for a type or for anonymous memory.
func TestSlabHidesTypes(t *testing.T) {
	for _, v := range []int64{synth.V61.Buddy, synth.V61.Offline} {
		m := synth.New(synth.Options{Runs: []synth.Run{{Kind: synth.Slab}}})
		pa := m.StructPage(m.Runs[0].PFN)
		m.Put32(pa+48, uint32(v))
		info, _ := open(t, m)
		l, err := kernel.NewPageLayout(info)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 64)
		if err := m.ReadPhys(p, pa); err != nil {
			t.Fatal(err)
		}
		if got := says(l, p, p, 0); got != "slab" {
			t.Errorf("slab page with _mapcount %d is %q", v, got)
		}
	}
}

// Since 6.12 the low 24 bits of a type's _mapcount are the type's own.
func TestTypeInTopByte(t *testing.T) {
	m := synth.New(synth.Options{Era: &synth.V612})
	info, _ := open(t, m)
	l, err := kernel.NewPageLayout(info)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 64)
	for v, want := range map[uint32]string{
		0xf1000000: "offline", 0xf1000123: "offline", 0xf5ffffff: "slab", 0xf0000000: "free", 0xf2000000: "", 0xffffffff: "plain", 3: "plain",
	} {
		p[52] = 0 // a driver refers to what it took out of use, nobody to what is free
		if want == "offline" {
			p[52] = 1
		}
		p[48], p[49], p[50], p[51] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
		if got := says(l, p, p, 0); got != want {
			t.Errorf("_mapcount %#x is %q, want %q", v, got, want)
		}
	}
	for i := range p {
		p[i] = 0xff
	}
	if got := says(l, p, p, 0); !strings.HasPrefix(got, "uninit tail") {
		t.Errorf("all ones are %q", got)
	}
}

func TestPageLayoutErrors(t *testing.T) {
	for _, tt := range []struct {
		drop, extra, want string
	}{
		{"SIZE(page)", "", "SIZE(page)"},
		{"SIZE(page)", "SIZE(page)=1000", "SIZE(page) is 1000"},
		{"OFFSET(page.mapping)", "", "OFFSET(page.mapping)"},
		{"OFFSET(page.mapping)", "OFFSET(page.mapping)=57", "is 57, and not 24"},
		{"OFFSET(page._mapcount)", "OFFSET(page._mapcount)=9223372036854775807", "9223372036854775807, and not 48"},
		{"OFFSET(page.compound_head)", "", "compound_info"},
	} {
		m := synth.New(synth.Options{Drop: []string{tt.drop}, Extra: tt.extra + "\n"})
		info, _ := open(t, m)
		if _, err := kernel.NewPageLayout(info); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v", tt.drop, tt.extra, err)
		}
	}
}
