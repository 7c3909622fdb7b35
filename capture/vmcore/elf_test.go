package vmcore

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
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

func TestELFBad(t *testing.T) {
	le := binary.LittleEndian
	ph := func(n, off int, v uint64) func([]byte) []byte { // change program header n
		return func(b []byte) []byte { le.PutUint64(b[ehdrSize+n*phdrSize+off:], v); return b }
	}
	for _, tt := range []struct {
		name   string
		change func(b []byte) []byte
		want   error // nil: any
		text   string
	}{
		{"32-bit", func(b []byte) []byte { b[4] = 1; return b }, nil, "32-bit"},
		{"big-endian", func(b []byte) []byte { b[5] = 2; return b }, nil, "big-endian"},
		{"executable", func(b []byte) []byte { b[16] = 2; return b }, ErrNotCore, "ET_EXEC"},
		{"entry size", func(b []byte) []byte { b[54] = 32; return b }, nil, "32 bytes, want 56"},
		{"no program headers", func(b []byte) []byte { b[56] = 0; return b }, nil, "xl dump-core"},
		{"program headers beyond the end", func(b []byte) []byte { le.PutUint64(b[32:], uint64(len(b))-100); return b }, ErrTruncated, "4 program headers"},
		{"program headers far away", func(b []byte) []byte { le.PutUint64(b[32:], math.MaxUint64-10); return b }, ErrTruncated, "program headers"},
		{"xnum without section", func(b []byte) []byte { le.PutUint16(b[56:], pnXNum); return b }, nil, "section header"},
		{"xnum beyond the end", func(b []byte) []byte { le.PutUint16(b[56:], pnXNum); le.PutUint64(b[40:], uint64(len(b))-3); return b }, ErrTruncated, "first section"},
		{"4 billion program headers", func(b []byte) []byte {
			le.PutUint16(b[56:], pnXNum)
			le.PutUint64(b[40:], uint64(len(b)))
			return append(b, bytes.Repeat([]byte{0xff}, shdrSize)...)
		}, nil, "4294967295 program headers"},
		{"offset and size overflow", ph(2, 8, math.MaxUint64-5), nil, "program header 2"},
		{"size overflows", ph(2, 32, math.MaxUint64), nil, "program header 2"},
		{"more in the file than in memory", ph(2, 40, 5), nil, "program header 2"},
		{"address overflows", ph(2, 24, math.MaxUint64-5), nil, "program header 2"},
		{"address of 53 bits", ph(2, 24, 1<<52), nil, "program header 2"},
		{"memory of 2^63", ph(2, 40, 1<<63), nil, "program header 2"},
		{"segment beyond the end", ph(3, 8, 1<<40), ErrTruncated, "missing"},
		{"notes beyond the end", ph(0, 8, 1<<40), ErrTruncated, "missing"},
		{"cut by 5 bytes", func(b []byte) []byte { return b[:len(b)-5] }, ErrTruncated, "5 are missing"},
		{"cut in the header", func(b []byte) []byte { return b[:63] }, ErrTruncated, "ELF header"},
	} {
		b := tt.change(buildELF(elfLayout{}, testNotes(), machineSegs()...))
		_, err := Open(fileOf(b))
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for name, b := range map[string][]byte{
		"no PT_LOAD":         buildELF(elfLayout{}, testNotes()),
		"only empty PT_LOAD": buildELF(elfLayout{}, testNotes(), seg{paddr: 4096}),
		"a process": buildELF(elfLayout{}, testNotes(), seg{vaddr: 0x400000, data: mem(0, 4096)},
			seg{vaddr: 0x7f0000000000, data: mem(0, 4096)}),
	} {
		if _, err := Open(fileOf(b)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// sparse is a file with a hole behind its bytes.
type sparse struct {
	b    []byte
	size int64
}

func (s sparse) Size() (int64, error) { return s.size, nil }

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s.b)) {
		copy(p, s.b[off:])
	}
	return len(p), nil
}

func TestELFHugeNotes(t *testing.T) {
	b := buildELF(elfLayout{}, testNotes(), machineSegs()...)
	binary.LittleEndian.PutUint64(b[ehdrSize+32:], maxNotes+1)
	if _, err := Open(sparse{b, 1 << 40}); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
}

func TestELFSalvage(t *testing.T) {
	whole := buildELF(elfLayout{}, testNotes(), machineSegs()...)
	cut := whole[:len(whole)-0x1600-0x800] // the last segment, and half a page of the one before
	if _, err := Open(fileOf(cut)); !errors.Is(err, ErrTruncated) {
		t.Fatal(err)
	}
	src, r := mustOpen(t, cut, Salvage())
	if len(src.RAM()) != 2 {
		t.Errorf("RAM %x", src.RAM())
	}
	page := make([]byte, 4096)
	if err := r.ReadPhys(page, 0x10e000); err != nil || !bytes.Equal(page, mem(0x10e000, 4096)) {
		t.Errorf("last whole page: %v", err)
	}
	for _, pa := range []uint64{0x10f000, 0x200c00, 0x201000} {
		if err := r.ReadPhys(page[:100], pa); !errors.Is(err, ErrTruncated) || !errors.Is(err, ErrNoPage) {
			t.Errorf("%#x: %v", pa, err)
		}
	}
	// Any cut behind the headers is salvaged, and reads as the truth or an error.
	for cut := ehdrSize + 4*phdrSize; cut < len(whole); cut += 613 {
		_, r := mustOpen(t, whole[:cut], Salvage())
		for pa := uint64(0x100000); pa < 0x110000; pa += 4096 {
			if err := r.ReadPhys(page, pa); err == nil && !bytes.Equal(page, mem(pa, 4096)) {
				t.Fatalf("cut at %d: %#x is wrong", cut, pa)
			} else if err != nil && !errors.Is(err, ErrTruncated) {
				t.Fatal(err)
			}
		}
	}
}

// failing is a file whose later part cannot be read.
type failing struct {
	*bytes.Reader
	from int64
	err  error
}

func (f failing) Size() (int64, error) { return f.Reader.Size(), nil }

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if n, _ := f.Reader.ReadAt(p, off); off+int64(n) <= f.from {
		return n, nil
	}
	return 0, f.err
}

func TestReadErrors(t *testing.T) {
	b := buildELF(elfLayout{}, testNotes(), machineSegs()...)
	broken := errors.New("input/output error")
	for err, want := range map[error]error{broken: broken, io.EOF: io.ErrUnexpectedEOF} {
		src, openErr := Open(failing{bytes.NewReader(b), int64(len(b)) - 0x1600 - 4096, err})
		if openErr != nil {
			t.Fatal(openErr)
		}
		r, _ := src.NewReader()
		page := make([]byte, 4096)
		if got := r.ReadPhys(page, 0x10e000); got != nil {
			t.Errorf("good page: %v", got)
		}
		got := r.ReadPhys(page, 0x10f000)
		if !errors.Is(got, want) || errors.Is(got, ErrNoPage) || !strings.Contains(got.Error(), "0x10f000") {
			t.Errorf("bad page: %v", got)
		}
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
