package infoscan

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// machine has pages for the texts of a test, lowest address first.
func machine(t *testing.T) (m *synth.Machine, at []uint64) {
	t.Helper()
	m = synth.New(synth.Options{KASLR: 4 << 20, Drop: []string{"CRASHTIME"}, Runs: []synth.Run{{Kind: synth.Kernel, Count: 8, Zero: true}}})
	for i := range uint64(8) {
		at = append(at, (m.Runs[0].PFN+i)*synth.PageSize)
	}
	return m, at
}

func note(text string) []byte {
	return vmcore.AppendNote(nil, vmcore.Note{Name: "VMCOREINFO", Type: vmcore.NoteVMCoreInfo, Desc: []byte(text)})
}

func TestFind(t *testing.T) {
	m, at := machine(t)
	text := string(m.Info)
	if len(text) > synth.PageSize-100 {
		t.Fatalf("the text has %d bytes: no room for the tests", len(text))
	}
	otherBoot := strings.Replace(text, fmt.Sprintf("NUMBER(phys_base)=%d", int64(m.PhysBase)), "NUMBER(phys_base)=4194304", 1)
	otherKernel := strings.Replace(text, "OSRELEASE=6", "OSRELEASE=5", 1)
	if otherBoot == text || otherKernel == text {
		t.Fatal("the texts do not differ")
	}
	crashed := text + "CRASHTIME=1600000000\n"
	type put struct {
		pa uint64
		b  []byte
	}
	for name, tt := range map[string]struct {
		puts []put
		want put // zero: nothing
		note bool
		bad  int
	}{
		"nothing":               {},
		"text":                  {puts: []put{{at[2], []byte(text)}}, want: put{at[2], []byte(text)}},
		"text inside a page":    {puts: []put{{at[2] + 16, []byte(text)}}},
		"note":                  {puts: []put{{at[2], note(text)}}, want: put{at[2] + 24, []byte(text)}, note: true},
		"note at a multiple":    {puts: []put{{at[2] + 52, note(text)}}, want: put{at[2] + 76, []byte(text)}, note: true},
		"note at an odd place":  {puts: []put{{at[2] + 53, note(text)}}},
		"note of another type":  {puts: []put{{at[2], bytes.Replace(note(text), []byte("\x00\x00\x00\x00VM"), []byte("\x01\x00\x00\x00VM"), 1)}}},
		"of another boot":       {puts: []put{{at[1], []byte(otherBoot)}}, bad: 1},
		"of another kernel":     {puts: []put{{at[1], note(otherKernel)}}, bad: 1},
		"the right one of four": {puts: []put{{at[0], []byte(otherBoot)}, {at[1], note(otherKernel)}, {at[2], []byte(text[:500] + "\xff")}, {at[4], note(text)}}, want: put{at[4] + 24, []byte(text)}, note: true, bad: 2},
		"cut by a foreign page": {puts: []put{{at[0] + 3000, note(text)}, {at[1], bytes.Repeat([]byte{0xff}, 4096)}}},
		"crashed":               {puts: []put{{at[1], []byte(crashed)}}, want: put{at[1], []byte(crashed)}},
		"crashed in a file":     {puts: []put{{at[1], note(crashed)}, {at[3], note(text)}}, want: put{at[3] + 24, []byte(text)}, note: true},
	} {
		t.Run(name, func(t *testing.T) {
			zero := make([]byte, synth.PageSize)
			for _, pa := range at {
				m.Put(pa, zero)
			}
			for _, p := range tt.puts {
				m.Put(p.pa, p.b)
			}
			f, err := Find(t.Context(), m.Source())
			if tt.want.pa == 0 {
				if !errors.Is(err, ErrNotFound) {
					t.Fatalf("%+v, %v", f, err)
				}
				if want := fmt.Sprintf("%d texts look like one", tt.bad); tt.bad > 0 && !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.PA != tt.want.pa || string(f.Text) != string(tt.want.b) || f.Note != tt.note {
				t.Errorf("%d bytes at %#x, note %v; want %d at %#x", len(f.Text), f.PA, f.Note, len(tt.want.b), tt.want.pa)
			}
			if name == "the right one of four" && f.Rejected < tt.bad {
				t.Errorf("%d rejected", f.Rejected)
			}
		})
	}
}

// holes is a core that lacks pages.
type holes struct {
	vmcore.Source
	gone func(pa uint64) bool
}

type holesReader struct {
	vmcore.Reader
	h *holes
}

func (h *holes) NewReader() (vmcore.Reader, error) {
	r, err := h.Source.NewReader()
	return holesReader{r, h}, err
}

func (r holesReader) ReadPhys(p []byte, pa uint64) error {
	for a := pa &^ 4095; a < pa+uint64(len(p)); a += 4096 {
		if r.h.gone(a) {
			return fmt.Errorf("%#x: %w", a, vmcore.ErrNoPage)
		}
	}
	return r.Reader.ReadPhys(p, pa)
}

func TestFindSkipsWhatIsMissing(t *testing.T) {
	m, at := machine(t)
	m.Put(at[3], m.Info)
	src := &holes{m.Source(), func(pa uint64) bool { return pa == at[2] || pa == at[4] }}
	if f, err := Find(t.Context(), src); err != nil || f.PA != at[3] {
		t.Errorf("%+v, %v", f, err)
	}
	src.gone = func(pa uint64) bool { return pa == at[3] }
	if f, err := Find(t.Context(), src); !errors.Is(err, ErrNotFound) {
		t.Errorf("%+v, %v", f, err)
	}
}

// A memory that is full of texts is given up, and a search ends with its context.
func TestFindIsBounded(t *testing.T) {
	m, at := machine(t)
	small := note(strings.Repeat("OSRELEASE=1\nPAGESIZE=4096\n", 4))
	page := bytes.Repeat(small, synth.PageSize/len(small))
	var tries int
	for _, r := range m.Opt.RAM {
		for pa := (r.Start + 4095) &^ 4095; pa+4096 <= r.End && pa < at[0] && tries <= maxTries; pa += 4096 {
			m.Put(pa, page)
			tries += bytes.Count(page, small)
		}
	}
	if tries <= maxTries {
		t.Fatalf("%d texts only", tries)
	}
	m.Put(at[7], m.Info)
	if f, err := Find(t.Context(), m.Source()); !errors.Is(err, ErrNotFound) {
		t.Errorf("%+v, %v", f, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ctx, m.Source()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestProve(t *testing.T) {
	m, _ := machine(t)
	drop := func(key string) []byte {
		var out []byte
		for l := range bytes.Lines(m.Info) {
			if !bytes.HasPrefix(l, []byte(key)) {
				out = append(out, l...)
			}
		}
		return out
	}
	for name, tt := range map[string]struct {
		text     []byte
		machine  elf.Machine
		unproved bool
		ok       bool
	}{
		"right":             {text: m.Info, ok: true},
		"without name":      {text: drop("SYMBOL(init_uts_ns)"), unproved: true},
		"without one table": {text: drop("SYMBOL(swapper_pg_dir)"), ok: true},
		"without tables":    {text: bytes.ReplaceAll(drop("SYMBOL(swapper_pg_dir)"), []byte("init_top_pgt"), []byte("x")), unproved: true},
		"no text":           {text: []byte("hello")},
		"foreign machine":   {text: m.Info, machine: elf.EM_S390, unproved: true},
	} {
		if tt.machine == 0 {
			tt.machine = elf.EM_X86_64
		}
		err := Prove(tt.text, tt.machine, m)
		if (err == nil) != tt.ok || errors.Is(err, ErrUnproved) != tt.unproved {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// window shows two pages of memory as all there is to search.
type window struct {
	vmcore.Source
	at uint64
}

func (w window) RAM() []vmcore.Range {
	return []vmcore.Range{{Start: w.at, End: w.at + 2*synth.PageSize}}
}

func FuzzFind(f *testing.F) {
	m := synth.New(synth.Options{Runs: []synth.Run{{Kind: synth.Kernel, Count: 2, Zero: true}}})
	f.Add([]byte(m.Info), uint16(0))
	f.Add(note(string(m.Info)), uint16(4))
	f.Add(note("OSRELEASE=6.1\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff81000000\nSYMBOL(init_uts_ns)=ffffffffffffff00\n"), uint16(4080))
	at := m.Runs[0].PFN * synth.PageSize
	f.Fuzz(func(t *testing.T, b []byte, off uint16) {
		m.Put(at, make([]byte, 2*synth.PageSize))
		off %= synth.PageSize
		m.Put(at+uint64(off), b[:min(len(b), synth.PageSize)])
		found, err := Find(t.Context(), window{m.Source(), at})
		if (found == nil) == (err == nil) {
			t.Fatalf("%+v, %v", found, err)
		}
		if err == nil && Prove(found.Text, elf.EM_X86_64, m) != nil {
			t.Fatalf("%q is not proved", found.Text)
		}
	})
}
