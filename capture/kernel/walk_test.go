package kernel_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

func TestWalk(t *testing.T) {
	for name, opt := range map[string]synth.Options{"4 levels": {KASLR: 0x6000000}, "5 levels": {Level5: true, SmallMap: true}} {
		t.Run(name, func(t *testing.T) {
			m := synth.New(opt)
			_, s := open(t, m)
			tables := map[uint64]bool{}
			var last uint64
			var images int
			skipped, err := s.Walk(t.Context(), m.MaxPFN(),
				func(start, end uint64) {
					if tables[start*4096] || end != start+1 {
						t.Errorf("table %#x to %#x again", start, end)
					}
					tables[start*4096] = true
				},
				func(x kernel.Mapping) {
					pa, n, err := s.With(m).Translate(x.VA)
					if err != nil || pa != x.PA || n != x.Size || x.VA <= last {
						t.Errorf("mapping %+v, after %#x; Translate: %#x, %d, %v", x, last, pa, n, err)
					}
					last = x.VA
					if s.IsImage(x) {
						images++
						if x.PA < m.Image.Start || x.PA >= m.Image.End {
							t.Errorf("%+v is taken for the image at %#x", x, m.Image)
						}
					}
				})
			if err != nil || skipped != 0 || images != 1 {
				t.Errorf("skipped %d, %d mappings of the image, %v", skipped, images, err)
			}
			if got, want := slices.Sorted(maps.Keys(tables)), slices.Sorted(slices.Values(m.Tables)); !slices.Equal(got, want) {
				t.Errorf("tables %#x, want %#x", got, want)
			}
		})
	}
}

// A page of a module may by chance lie as far from its address as the image does.
func TestModulesAreNoImage(t *testing.T) {
	for _, tt := range []struct {
		drop, extra string
		end         uint64
	}{
		{"", "", 0xffffffffc0000000},
		{"NUMBER(KERNEL_IMAGE_SIZE)", "", 0xffffffffc0000000},
		{"NUMBER(KERNEL_IMAGE_SIZE)", "NUMBER(KERNEL_IMAGE_SIZE)=536870912\n", 0xffffffffa0000000},
	} {
		m := synth.New(synth.Options{Drop: []string{tt.drop}, Extra: tt.extra})
		_, s := open(t, m)
		for va, want := range map[uint64]bool{tt.end - 4096: true, tt.end: false, 0xffffffff80000000: true} {
			pa := va - 0xffffffff80000000 + m.PhysBase
			if got := s.IsImage(kernel.Mapping{VA: va, PA: pa, Size: 4096}); got != want {
				t.Errorf("%s%s: %#x at %#x: image %v", tt.drop, tt.extra, va, pa, got)
			}
		}
	}
}

func TestWalkBadTables(t *testing.T) {
	// tables that refer to themselves and to each other, to nothing, and garbage
	m := synth.New(synth.Options{})
	for i := range uint64(256) {
		m.Put64(m.Root+2048+i*8, m.Tables[i%uint64(len(m.Tables))]|0x63)
	}
	m.Put64(m.Root+2048, 0x0000fffffffff063)
	for i := range uint64(512) {
		m.Put64(m.Tables[2]+i*8, m.Root|0x63)
	}
	_, s := open(t, m)
	seen := 0
	skipped, err := s.Walk(t.Context(), m.MaxPFN(), func(_, _ uint64) { seen++ }, func(kernel.Mapping) {})
	if err != nil || skipped != 1 || seen > len(m.Tables)+1000 {
		t.Errorf("%d tables seen, %d skipped, %v", seen, skipped, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Walk(ctx, m.MaxPFN(), func(_, _ uint64) {}, func(kernel.Mapping) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.Walk(t.Context(), 1, func(_, _ uint64) {}, func(kernel.Mapping) {}); err == nil || !strings.Contains(err.Error(), "above all RAM") {
		t.Errorf("top table out of RAM: %v", err)
	}
}

func TestReadUname(t *testing.T) {
	m := synth.New(synth.Options{Nodename: "db7", Version: strings.Repeat("v", 64), KASLR: 0x200000})
	info, s := open(t, m)
	u, err := kernel.ReadUname(info, s)
	if err != nil || u.Nodename != "db7" || u.Machine != "x86_64" || u.Release != "6.1.0-synth" || u.Version != strings.Repeat("v", 64) || u.Domainname != "(none)" {
		t.Errorf("%+v, %v", u, err)
	}
	pa := m.Symbols["init_uts_ns"] - synth.StartKernelMap + m.PhysBase
	for name, spoil := range map[string]func(){
		"release is": func() { m.Put(pa+130, []byte("5")) },
		"not Linux":  func() { m.Put(pa, make([]byte, 65)) },
		"not mapped": func() { slot, _ := m.Entry(m.Symbols["init_uts_ns"]); m.Put64(slot, 0) },
		"init_uts_ns": func() {
			m.Info = []byte("OSRELEASE=1\nPAGESIZE=4096\nNUMBER(phys_base)=0\nSYMBOL(init_top_pgt)=ffffffff82000000\n")
		},
	} {
		m = synth.New(synth.Options{})
		pa = m.Symbols["init_uts_ns"] - synth.StartKernelMap + m.PhysBase
		spoil()
		info, s := open(t, m)
		if u, err := kernel.ReadUname(info, s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	// before 5.11 the offset was not exported, and 4
	m = synth.New(synth.Options{Release: "5.10.0-x", Drop: []string{"OFFSET(uts_namespace.name)"}})
	pa = m.Symbols["init_uts_ns"] - synth.StartKernelMap + m.PhysBase
	var names [390]byte
	if err := m.ReadPhys(names[:], pa); err != nil {
		t.Fatal(err)
	}
	m.Put(pa+4, names[:])
	info, s = open(t, m)
	if u, err := kernel.ReadUname(info, s); err != nil || u.Release != "5.10.0-x" {
		t.Errorf("%+v, %v", u, err)
	}
}
