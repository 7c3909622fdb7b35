package kernel_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

func open(t testing.TB, m *synth.Machine) (*kernel.Info, *kernel.Space) {
	t.Helper()
	info, err := kernel.ParseInfo(m.Info)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kernel.NewSpace(info, elf.EM_X86_64, m)
	if err != nil {
		t.Fatal(err)
	}
	return info, s
}

func TestTranslate(t *testing.T) {
	for name, opt := range map[string]synth.Options{
		"4 levels":      {},
		"5 levels":      {Level5: true},
		"KASLR":         {KASLR: 0x2ea00000},
		"SME":           {SMEMask: 1 << 47},
		"5 levels, SME": {Level5: true, SMEMask: 1 << 51, KASLR: 0x200000},
	} {
		t.Run(name, func(t *testing.T) {
			m := synth.New(opt)
			m.Map(m.VmallocBase()+1<<40, 1<<32, 1<<30) // a 1 GiB page, not RAM
			slot, _ := m.Entry(m.VmemmapBase())
			m.Put64(slot, m.Get64(slot)|1<<12) // PAT of a huge page, no address bit
			_, s := open(t, m)
			for _, tt := range []struct{ va, pa, n uint64 }{
				{m.ImageVA(m.Image.Start) + 5, m.Image.Start + 5, 2<<20 - 5},
				{m.PageOffset() + 0x123456, 0x123456, 2<<20 - 0x123456},
				{m.VmallocBase() + 0x4000, m.Stack[0], 4096},
				{m.VmallocBase() + 0x7fff, m.Stack[3] + 0xfff, 1},
				{m.VmemmapBase() + 64, m.StructPage(1), 2<<20 - 64},
				{m.VmallocBase() + 1<<40 + 7, 1<<32 + 7, 1<<30 - 7},
			} {
				pa, n, err := s.Translate(tt.va)
				if err != nil || pa != tt.pa || n != tt.n {
					t.Errorf("Translate(%#x) = %#x, %d, %v; want %#x, %d", tt.va, pa, n, err, tt.pa, tt.n)
				}
			}
			for _, va := range []uint64{0, 0x1000, m.VmallocBase(), 0x00007fffffffffff, ^uint64(0)} {
				if _, _, err := s.Translate(va); !errors.Is(err, kernel.ErrNotMapped) {
					t.Errorf("Translate(%#x): %v, want ErrNotMapped", va, err)
				}
			}
		})
	}
}

func TestReadVirt(t *testing.T) {
	m := synth.New(synth.Options{})
	_, s := open(t, m)
	// the stack's pages are not neighbours in this order in physical memory
	m.Put(m.Stack[0]+4090, []byte("across"))
	m.Put(m.Stack[1], []byte(" pages\x00"))
	p := make([]byte, 12)
	va := m.VmallocBase() + 0x4000 + 4090
	if err := s.ReadVirt(p, va); err != nil || string(p) != "across pages" {
		t.Errorf("ReadVirt = %q, %v", p, err)
	}
	if got, err := s.CString(va, 100); err != nil || got != "across pages" {
		t.Errorf("CString = %q, %v", got, err)
	}
	if got, err := s.CString(va, 3); err != nil || got != "acr" {
		t.Errorf("CString cut = %q, %v", got, err)
	}
	m.Put(m.Stack[3]+4090, []byte("end\x00"))
	if got, err := s.With(m).CString(m.VmallocBase()+0x7000+4090, 4096); err != nil || got != "end" {
		t.Errorf("CString before a hole = %q, %v", got, err)
	}
	if err := s.ReadVirt(p, ^uint64(0)-3); err == nil || !strings.Contains(err.Error(), "past the end") {
		t.Errorf("ReadVirt over the end: %v", err)
	}
	if err := s.ReadVirt(p, m.VmallocBase()+0x7ffc); !errors.Is(err, kernel.ErrNotMapped) {
		t.Errorf("ReadVirt into a hole: %v", err)
	}
	if v, err := s.Uint32(m.VmallocBase() + 0x6000); err != nil || v != 0x57ac57ac {
		t.Errorf("Uint32 = %#x, %v", v, err)
	}
}

// Tables that point at themselves, at nothing, or out of RAM must end.
func TestBadTables(t *testing.T) {
	for name, spoil := range map[string]func(m *synth.Machine, slot uint64){
		"self":       func(m *synth.Machine, slot uint64) { m.Put64(slot, m.Root|0x63) },
		"no RAM":     func(m *synth.Machine, slot uint64) { m.Put64(slot, 0x000ffffffff00063) },
		"huge PGD":   func(m *synth.Machine, slot uint64) { m.Put64(slot, 0xe3) },
		"all ones":   func(m *synth.Machine, slot uint64) { m.Put64(slot, ^uint64(0)) },
		"not mapped": func(m *synth.Machine, slot uint64) { m.Put64(slot, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			m := synth.New(synth.Options{})
			va := m.VmallocBase() + 0x4000
			spoil(m, m.Root+va>>39&511*8)
			_, s := open(t, m)
			pa, n, err := s.Translate(va)
			if name == "self" { // ends at some leaf or error, by depth
				if err == nil && (n == 0 || n > 1<<30) {
					t.Errorf("Translate = %#x, %d", pa, n)
				}
				return
			}
			if err == nil {
				t.Errorf("Translate = %#x, %d, want an error", pa, n)
			}
		})
	}
}

func TestNewSpaceErrors(t *testing.T) {
	for _, tt := range []struct {
		drop    string
		machine elf.Machine
		want    string
	}{
		{"NUMBER(phys_base)", elf.EM_X86_64, "phys_base"},
		{"", elf.EM_S390, "not supported"},
		{"", elf.EM_AARCH64, "VA_BITS"},
	} {
		info, err := kernel.ParseInfo(synth.New(synth.Options{Drop: []string{tt.drop}}).Info)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kernel.NewSpace(info, tt.machine, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("without %q on %v: %v, want %q", tt.drop, tt.machine, err, tt.want)
		}
	}
	for _, text := range []string{
		"NUMBER(phys_base)=0\nSYMBOL(init_top_pgt)=1000\n",
		"NUMBER(phys_base)=4611686018427387904\nSYMBOL(init_top_pgt)=ffffffff82000000\n",
		"NUMBER(phys_base)=0\n",
	} {
		info, _ := kernel.ParseInfo([]byte("OSRELEASE=6.1\nPAGESIZE=4096\n" + text))
		if _, err := kernel.NewSpace(info, elf.EM_X86_64, nil); err == nil || !strings.Contains(err.Error(), "init_top_pgt") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// An old kernel's name of the top table must do as well.
func TestOlderRootSymbol(t *testing.T) {
	m := synth.New(synth.Options{})
	m.Info = bytes.ReplaceAll(m.Info, []byte("SYMBOL(init_top_pgt)"), []byte("SYMBOL(init_level4_pgt)"))
	_, s := open(t, m)
	if pa, _, err := s.Translate(m.PageOffset()); err != nil || pa != 0 {
		t.Errorf("Translate = %#x, %v", pa, err)
	}
}
