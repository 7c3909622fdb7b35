package kernel_test

import (
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// far is RAM in three sections, the last behind a wide hole.
var far = synth.Ranges(0x1000, 0x9fc00, 0x100000, 0x1000000, 0x8000000, 0x8800000, 0x480000000, 0x480800000)

func TestMemMap(t *testing.T) {
	for name, tt := range map[string]struct {
		opt   synth.Options
		model string
	}{
		"vmemmap":          {synth.Options{RAM: far}, "sparse, extreme"},
		"vmemmap by 4 KiB": {synth.Options{RAM: far, SmallMap: true}, "sparse, extreme"},
		"5 levels":         {synth.Options{RAM: far, Level5: true, KASLR: 0x3000000}, "sparse, extreme"},
		"variable":         {synth.Options{RAM: far, MemSectionVar: true}, "sparse, extreme"},
		"classic":          {synth.Options{RAM: far, Model: synth.Sparse}, "sparse, extreme"},
		"flat roots":       {synth.Options{RAM: far, Model: synth.SparseFlat}, "sparse"},
		"flat, variable":   {synth.Options{RAM: far, Model: synth.SparseFlat, MemSectionVar: true}, "sparse"},
		"7.1 flags":        {synth.Options{RAM: far, Era: &synth.V71}, "sparse, extreme"},
		"old keys":         {synth.Options{RAM: far, Drop: []string{"NUMBER(SECTION_SIZE_BITS)", "NUMBER(MAX_PHYSMEM_BITS)"}}, "sparse, extreme"},
		"flatmem":          {synth.Options{RAM: far[:2], Model: synth.FlatMem}, "flat"},
	} {
		t.Run(name, func(t *testing.T) {
			m := synth.New(tt.opt)
			info, s := open(t, m)
			mm, err := kernel.NewMemMap(info, s, m.Source().RAM())
			if err != nil {
				t.Fatal(err)
			}
			if mm.Model != tt.model || mm.Absent != 0 || mm.Bad != 0 {
				t.Errorf("model %q, %d absent, %d bad (%s)", mm.Model, mm.Absent, mm.Bad, mm.FirstBad)
			}
			for _, r := range m.Opt.RAM {
				for pfn := r.Start / 4096; pfn*4096 < r.End; pfn++ {
					i := slices.IndexFunc(mm.Sections, func(s kernel.Section) bool { return s.Start <= pfn && pfn < s.End })
					if i < 0 {
						t.Fatalf("pfn %#x is in no section", pfn)
					}
					va := mm.Sections[i].Map + (pfn-mm.Sections[i].Start)*64
					if pa, _, err := s.Translate(va); err != nil || pa != m.StructPage(pfn) {
						t.Fatalf("struct page of pfn %#x at %#x, %v; want %#x", pfn, pa, err, m.StructPage(pfn))
					}
				}
			}
			if tt.model != "flat" && len(mm.Sections) != 3 {
				t.Errorf("%d sections", len(mm.Sections))
			}
		})
	}
}

func TestMemMapBadSections(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil       func(m *synth.Machine)
		good        int
		absent, bad int
	}{
		"one garbage":    {func(m *synth.Machine) { m.Put64(m.SectionSlot(1), 0x123456789abcdef) }, 2, 0, 1},
		"one unmapped":   {func(m *synth.Machine) { m.Put64(m.SectionSlot(1), 0xffffc8ff00000003) }, 2, 0, 1},
		"one absent":     {func(m *synth.Machine) { m.Put64(m.SectionSlot(1), 0) }, 2, 1, 0},
		"flags grow":     {func(m *synth.Machine) { m.Put64(m.SectionSlot(1), m.Get64(m.SectionSlot(1))|0xfff) }, 3, 0, 0},
		"map wraps":      {func(m *synth.Machine) { m.Put64(m.SectionSlot(1), ^uint64(0)) }, 2, 0, 1},
		"unmapped start": {func(m *synth.Machine) { slot, _ := m.Entry(m.VmemmapBase()); m.Put64(slot, 0) }, 2, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := synth.New(synth.Options{RAM: far})
			tt.spoil(m)
			info, s := open(t, m)
			mm, err := kernel.NewMemMap(info, s, m.Source().RAM())
			if err != nil {
				t.Fatal(err)
			}
			if len(mm.Sections) != tt.good || mm.Absent != tt.absent || mm.Bad != tt.bad || (mm.Bad > 0) != (mm.FirstBad != "") {
				t.Errorf("%d good, %d absent, %d bad (%s)", len(mm.Sections), mm.Absent, mm.Bad, mm.FirstBad)
			}
		})
	}
}

func TestMemMapErrors(t *testing.T) {
	set := func(line string) synth.Options {
		key, _, _ := strings.Cut(line, "=")
		return synth.Options{Drop: []string{key}, Extra: line + "\n"}
	}
	for _, tt := range []struct {
		opt  synth.Options
		want string
	}{
		{synth.Options{Drop: []string{"SIZE(page)"}}, "SIZE(page)"},
		{set("SIZE(page)=7"), "SIZE(page) is 7"},
		{synth.Options{Drop: []string{"LENGTH(mem_section)"}}, "lacks"},
		{set("SIZE(mem_section)=4"), "not possible"},
		{set("OFFSET(mem_section.section_mem_map)=4096"), "not possible"},
		{set("NUMBER(SECTION_SIZE_BITS)=3"), "not possible"},
		{set("NUMBER(SECTION_SIZE_BITS)=60"), "not possible"},
		{set("NUMBER(MAX_PHYSMEM_BITS)=64"), "not possible"},
		{set("SYMBOL(mem_section)=1000"), "decode"},
		{synth.Options{Drop: []string{"SYMBOL(mem_section)"}}, "neither"},
		{set("SYMBOL(mem_section)=ffffffff81000000"), "decode"}, // the page table: garbage
	} {
		m := synth.New(tt.opt)
		info, s := open(t, m)
		mm, err := kernel.NewMemMap(info, s, m.Source().RAM())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v %q: %+v, %v; want %q", tt.opt.Drop, tt.opt.Extra, mm, err, tt.want)
		}
	}
}

// FuzzMemMap puts bytes where mem_section and its roots are, and into the keys
// that describe them.
func FuzzMemMap(f *testing.F) {
	seed := make([]byte, 64)
	f.Add(seed, uint64(2048), uint64(16), int8(27), int8(46))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"), uint64(1)<<62, uint64(8), int8(34), int8(52))
	m := synth.New(synth.Options{RAM: far})
	ram := m.Source().RAM()
	f.Fuzz(func(t *testing.T, b []byte, length, size uint64, section, phys int8) {
		over := overlay{m, m.SectionSlot(0), b[:min(len(b), 4096)]}
		info, err := kernel.ParseInfo(m.Info)
		if err != nil {
			t.Fatal(err)
		}
		s, err := kernel.NewSpace(info, elf.EM_X86_64, over)
		if err != nil {
			t.Fatal(err)
		}
		info.Override(map[string]uint64{"LENGTH(mem_section)": length, "SIZE(mem_section)": size},
			map[string]int64{"NUMBER(SECTION_SIZE_BITS)": int64(section), "NUMBER(MAX_PHYSMEM_BITS)": int64(phys)})
		mm, err := kernel.NewMemMap(info, s, ram)
		if err != nil {
			return
		}
		var last uint64
		for _, sec := range mm.Sections {
			if sec.Start >= sec.End || sec.Start < last || !s.IsKernel(sec.Map) {
				t.Fatalf("section %+v after %#x", sec, last)
			}
			last = sec.End
			if !slices.ContainsFunc(ram, func(r vmcore.Range) bool { return r.Start < sec.End*4096 && sec.Start*4096 < r.End }) {
				t.Fatalf("section %+v holds no RAM", sec)
			}
		}
	})
}

// overlay is a machine with other bytes at one place.
type overlay struct {
	*synth.Machine
	at uint64
	b  []byte
}

func (o overlay) ReadPhys(p []byte, pa uint64) error {
	if err := o.Machine.ReadPhys(p, pa); err != nil {
		return err
	}
	if start, end := max(pa, o.at), min(pa+uint64(len(p)), o.at+uint64(len(o.b))); start < end {
		copy(p[start-pa:end-pa], o.b[start-o.at:])
	}
	return nil
}
