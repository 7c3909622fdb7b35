package kernel_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

// What does not fit the rest is not believed, and a kernel of its own is no error.
func TestPageOrder(t *testing.T) {
	const (
		newer  = "OSRELEASE=99.0.0"
		middle = "OSRELEASE=6.11.0" // of which nothing is known
	)
	for _, tt := range []struct {
		era    *synth.Era
		change []string // lines in place of others
		want   []string // parts of what is said, in any order
	}{
		{&synth.V61, nil, nil},
		{&synth.V64, nil, nil},
		{&synth.V66, nil, nil},
		{&synth.V612, nil, nil},
		{&synth.V71, nil, nil},
		{&synth.V61, []string{"NUMBER(PG_lru)=2"}, []string{"NUMBER(PG_lru) is 2, and not 4", "page cache is not recognised"}},
		{&synth.V61, []string{"NUMBER(PG_lru)=9", "NUMBER(PG_slab)=4"}, []string{"PG_lru) is 9, and not 4", "PG_slab) is 4, and not 9", "neither PG_slab", "page cache is not"}},
		{&synth.V66, []string{"NUMBER(PG_hugetlb)=9"}, []string{"PG_hugetlb) is 9, and not 8"}},
		{&synth.V66, []string{"NUMBER(PG_hugetlb)=-1"}, []string{"no NUMBER(PG_hugetlb)"}},
		{&synth.V612, []string{"NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-1"}, []string{"no NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)"}},
		{&synth.V612, []string{"NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-268435456", "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-251658240"},
			[]string{"OFFLINE_MAPCOUNT_VALUE) is -268435456, and not -251658240", "BUDDY_MAPCOUNT_VALUE) is -251658240", "free pages are kept"}},
		{&synth.V612, []string{"NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-268435456", newer}, nil},
		{&synth.V61, []string{"NUMBER(PG_hwpoison)=22"}, []string{"PG_hwpoison is 22, and not 23"}},
		{&synth.V61, []string{"NUMBER(PG_hwpoison)=22", "NUMBER(VA_BITS)=48"}, nil}, // arm64 has no PG_uncached
		{&synth.V71, []string{"NUMBER(PG_hwpoison)=22"}, []string{"PG_hwpoison is 22, and not 21"}},
		{&synth.V71, []string{"NUMBER(PG_hwpoison)=20"}, nil}, // a kernel with parts of another may have it so
		{&synth.V71, []string{"NUMBER(PG_hwpoison)=30", newer}, nil},
		// two wrong ones are a kernel of its own
		{&synth.V61, []string{"NUMBER(PG_lru)=5", "NUMBER(PG_private)=14"}, nil},
		{&synth.V61, []string{"NUMBER(PG_lru)=5", middle}, nil},
		{&synth.V61, []string{"NUMBER(PG_lru)=5", "OSRELEASE=4.19.0"}, nil},
	} {
		m := synth.New(synth.Options{Era: tt.era})
		text := string(m.Info)
		for _, line := range tt.change {
			key, _, _ := strings.Cut(line, "=")
			if old := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(key) + `=.*$`); old.MatchString(text) {
				text = old.ReplaceAllLiteralString(text, line)
			} else {
				text += line + "\n"
			}
		}
		info, err := kernel.ParseInfo([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		l, err := kernel.NewPageLayout(info)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(l.Unknown, "; ")
		missing := slices.ContainsFunc(tt.want, func(w string) bool { return !strings.Contains(got, w) })
		if missing || tt.want == nil && got != "" {
			t.Errorf("%s with %q: said %q, want %q", tt.era.Release, tt.change, got, tt.want)
		}
	}
}

// An offset that does not fit is an error that says so: nothing can be judged.
func TestPageOrderOffset(t *testing.T) {
	m := synth.New(synth.Options{Drop: []string{"OFFSET(page.mapping)"}, Extra: "OFFSET(page.mapping)=56\n"})
	info, _ := open(t, m)
	if _, err := kernel.NewPageLayout(info); err == nil || !strings.Contains(err.Error(), "OFFSET(page.mapping) is 56, and not 24") {
		t.Errorf("error %v", err)
	}
}

// A section whose struct pages are not in the array of the others is none.
func TestSectionsAgree(t *testing.T) {
	ram := synth.Ranges(0x100000, 0x20000000)
	for _, tt := range []struct {
		model synth.MemModel
		by    uint64
		bad   int
	}{{synth.Vmemmap, 4096, 1}, {synth.Vmemmap, 2 << 20, 1}, {synth.Sparse, 0, 0}} {
		m := synth.New(synth.Options{Model: tt.model, RAM: ram})
		m.Put64(m.SectionSlot(2), m.Get64(m.SectionSlot(2))+tt.by)
		info, s := open(t, m)
		maps, err := kernel.NewMemMap(info, s, m.Source().RAM())
		if err != nil {
			t.Fatal(err)
		}
		if maps.Bad != tt.bad || len(maps.Sections) != 4-tt.bad {
			t.Errorf("model %v, section 2 off by %#x: %d sections, %d bad (%s)", tt.model, tt.by, len(maps.Sections), maps.Bad, maps.FirstBad)
		}
	}
}
