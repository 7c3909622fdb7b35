package vmcore

import (
	"bytes"
	"debug/elf"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	imageVA  = 0xffffffff81000000
	directVA = 0xffff888000000000
)

// machineSegs is a machine as /proc/vmcore shows it: the kernel image, then RAM
// that it lies in, then RAM with ragged ends.
func machineSegs() []seg {
	return []seg{
		{vaddr: imageVA, paddr: 0x104000, data: mem(0x104000, 0x4000)},
		{vaddr: directVA + 0x100000, paddr: 0x100000, data: mem(0x100000, 0x10000)},
		{vaddr: directVA + 0x200c00, paddr: 0x200c00, data: mem(0x200c00, 0x1600)},
	}
}

func TestELF(t *testing.T) {
	for name, l := range map[string]elfLayout{
		"as the kernel writes it": {},
		"as QEMU writes it":       {phdrsLast: true},
		"with PN_XNUM":            {xnum: true},
		"with both":               {phdrsLast: true, xnum: true},
	} {
		t.Run(name, func(t *testing.T) {
			src, r := mustOpen(t, buildELF(l, testNotes(), machineSegs()...))
			if src.Format() != "elf" || src.Machine() != elf.EM_X86_64 || src.PageSize() != 4096 {
				t.Errorf("%v, %v, page size %d", src.Format(), src.Machine(), src.PageSize())
			}
			if d := cmp.Diff([]Range{{0x100000, 0x110000}, {0x200c00, 0x202200}}, src.RAM()); d != "" {
				t.Errorf("RAM: %s", d)
			}
			if d := cmp.Diff([]Range{{0x104000, 0x108000}}, src.KernelImage()); d != "" {
				t.Errorf("image: %s", d)
			}
			if !bytes.Equal(src.Notes(), testNotes()) || string(src.VMCoreInfo()) != infoText {
				t.Errorf("notes %q, VMCOREINFO %q", src.Notes(), src.VMCoreInfo())
			}
			got := make([]byte, 0x10000)
			if err := r.ReadPhys(got, 0x100000); err != nil || !bytes.Equal(got, mem(0x100000, 0x10000)) {
				t.Errorf("RAM that has the image in it: %v", err)
			}
			page := make([]byte, 4096)
			want := append(make([]byte, 0xc00), mem(0x200c00, 0x400)...)
			if err := r.ReadPhys(page, 0x200000); err != nil || !bytes.Equal(page, want) {
				t.Errorf("ragged start: %v", err)
			}
			want = append(mem(0x202000, 0x200), make([]byte, 0xe00)...)
			if err := r.ReadPhys(page, 0x202000); err != nil || !bytes.Equal(page, want) {
				t.Errorf("ragged end: %v", err)
			}
			for _, pa := range []uint64{0, 0xff000, 0x110000, 0x1ff000, 0x203000, 1 << 52, math.MaxUint64 - 4095} {
				if err := r.ReadPhys(page, pa); !errors.Is(err, ErrNoPage) || errors.Is(err, ErrTruncated) {
					t.Errorf("%#x: %v", pa, err)
				}
			}
			if err := r.ReadPhys(page, 0x10f800); !errors.Is(err, ErrNoPage) || !strings.Contains(err.Error(), "0x110000") {
				t.Errorf("over the end: %v", err)
			}
		})
	}
}

// TestELFAgainstModel reads random spans of cores of random segments.
func TestELFAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		const top = 64 * 4096
		have, part := make([]bool, top), make([]bool, top/4096)
		var segs []seg
		for range 1 + r.IntN(8) {
			pa := r.Uint64N(top)
			n := r.Uint64N(min(top-pa, 5*4096)) + 1
			if r.IntN(2) == 0 {
				pa, n = pa&^4095, (n+4095)&^4095
			}
			segs = append(segs, seg{paddr: pa, vaddr: pa + 7, data: mem(pa, int(n)), more: r.Uint64N(2) * 8192})
			for i := pa; i < pa+n; i++ {
				have[i], part[i/4096] = true, true
			}
		}
		segs[0].vaddr = 1
		_, rd := mustOpen(t, buildELF(elfLayout{}, testNotes(), append(segs, seg{paddr: 1 << 40, data: []byte{1}})...))
		for range 300 {
			pa := r.Uint64N(top)
			p := bytes.Repeat([]byte{0xaa}, int(r.Uint64N(min(top-pa, 3*4096))))
			err := rd.ReadPhys(p, pa)
			want, whole := mem(pa, len(p)), true
			for i := range want {
				if x := pa + uint64(i); !part[x/4096] {
					whole = false
				} else if !have[x] {
					want[i] = 0
				}
			}
			if whole != (err == nil) || whole && !bytes.Equal(p, want) || !whole && !errors.Is(err, ErrNoPage) {
				t.Fatalf("seed %d: %d bytes at %#x: %v, want all: %v", seed, len(p), pa, err, whole)
			}
		}
	}
}

func TestELFFiltered(t *testing.T) {
	src, r := mustOpen(t, buildELF(elfLayout{}, testNotes(),
		seg{paddr: 0x100000, data: mem(0x100000, 0x2000), more: 0x8000},
		seg{paddr: 0x10a000, more: 0x6000},
		seg{paddr: 0x110000, data: mem(0x110000, 0x1000)}))
	if d := cmp.Diff([]Range{{0x100000, 0x111000}}, src.RAM()); d != "" {
		t.Error(d)
	}
	page := make([]byte, 4096)
	for pa := uint64(0x100000); pa < 0x111000; pa += 4096 {
		err := r.ReadPhys(page, pa)
		if stored := pa < 0x102000 || pa == 0x110000; stored != (err == nil) || !stored && !errors.Is(err, ErrNoPage) {
			t.Errorf("%#x: %v", pa, err)
		}
	}
}

func TestKernelImageOfArm64(t *testing.T) {
	const arm64 = 183
	image := seg{vaddr: 0xffff800008000000, paddr: 0x40200000, data: mem(0x40200000, 4096)}
	ram := seg{vaddr: 0xffff000000000000, paddr: 0x40000000, data: mem(0x40000000, 0x300000)}
	for _, tt := range []struct {
		name string
		segs []seg
		want []Range
	}{
		{"image first", []seg{image, ram}, []Range{{0x40200000, 0x40201000}}},
		{"no image", []seg{ram}, nil},
		{"image not in RAM", []seg{{vaddr: 1 << 60, paddr: 4096, data: mem(4096, 4096)}, ram}, nil},
	} {
		src, _ := mustOpen(t, buildELF(elfLayout{machine: arm64}, testNotes(), tt.segs...))
		if d := cmp.Diff(tt.want, src.KernelImage()); d != "" || src.Machine() != elf.EM_AARCH64 {
			t.Errorf("%s: %v %s", tt.name, src.Machine(), d)
		}
	}
}

func TestPageSize(t *testing.T) {
	for info, want := range map[string]uint64{
		"PAGESIZE=65536\n": 65536, "OSRELEASE=x\nPAGESIZE=16384": 16384, "": 4096, "PAGESIZE=\n": 4096,
		"PAGESIZE=5000\n": 4096, "PAGESIZE=1048576\n": 4096, "PAGESIZE=0\n": 4096, "PAGESIZE=-4096\n": 4096,
		"PAGESIZE=99999999999999999999\n": 4096,
	} {
		src, _ := mustOpen(t, buildELF(elfLayout{}, note("VMCOREINFO", 0, []byte(info)), machineSegs()...))
		if src.PageSize() != want {
			t.Errorf("%q: page size %d, want %d", info, src.PageSize(), want)
		}
	}
}

func TestNoVMCoreInfo(t *testing.T) {
	for name, notes := range map[string][]byte{
		"no notes":   nil,
		"other type": note("VMCOREINFO", 1, []byte("x")),
		"other name": note("VMCOREINFO_XEN", 0, []byte("x")),
		"cut":        note("VMCOREINFO", 0, []byte("x"))[:20],
		"lies":       {11, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'V', 'M'},
		"desc lies":  {1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 'V', 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8},
		"lies more":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'V', 'M'},
		"zeros":      make([]byte, 4096),
	} {
		if src, _ := mustOpen(t, buildELF(elfLayout{}, notes, machineSegs()...)); src.VMCoreInfo() != nil {
			t.Errorf("%s: %q", name, src.VMCoreInfo())
		}
	}
	// The last note may lack its padding.
	b := note("VMCOREINFO", 0, []byte("ABCDE"))
	if src, _ := mustOpen(t, buildELF(elfLayout{}, b[:len(b)-3], machineSegs()...)); string(src.VMCoreInfo()) != "ABCDE" {
		t.Errorf("without padding: %q", src.VMCoreInfo())
	}
}

func TestOpenPath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vmcore")
	if err := os.WriteFile(path, buildELF(elfLayout{}, testNotes(), machineSegs()...), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 4096)
	if err := r.ReadPhys(page, 0x107000); err != nil || !bytes.Equal(page, mem(0x107000, 4096)) {
		t.Error(err)
	}
	if err := errors.Join(r.Close(), src.Close()); err != nil {
		t.Error(err)
	}
	if err := r.ReadPhys(page, 0x107000); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := OpenPath(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestForeign(t *testing.T) {
	for _, f := range foreign {
		if _, err := Open(fileOf([]byte(f.magic + strings.Repeat("\x00", 600)))); !errors.Is(err, ErrNotCore) ||
			!strings.Contains(err.Error(), f.hint) {
			t.Errorf("%q: %v", f.magic, err)
		}
	}
	for in, text := range map[string]string{"": "empty", "abc": `"abc"`, strings.Repeat("\x00", 4096): "zeros"} {
		if _, err := Open(fileOf([]byte(in))); !errors.Is(err, ErrNotCore) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
