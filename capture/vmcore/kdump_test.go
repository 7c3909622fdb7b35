package vmcore

import (
	"bytes"
	"debug/elf"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// pfns lists from start up to, not including, end, each step-th.
func pfns(start, end, step uint64) []uint64 {
	var out []uint64
	for ; start < end; start += step {
		out = append(out, start)
	}
	return out
}

func someKdump() kdumpParts {
	return kdumpParts{
		maxPFN: 70000,
		ram:    slices.Concat(pfns(1, 900, 1), pfns(69000, 70000, 1)),
		stored: slices.Concat(pfns(2, 900, 3), pfns(69000, 70000, 2)),
		codecs: []codec.ID{codec.Zlib, codec.LZO, codec.Snappy, codec.Zstd, codec.None},
	}
}

// checkKdump reads every page below maxPFN and wants those in stored.
func checkKdump(t *testing.T, r Reader, maxPFN uint64, stored []uint64) {
	t.Helper()
	page := make([]byte, 4096)
	for pfn := range maxPFN + 3 {
		err := r.ReadPhys(page, pfn*4096)
		_, want := slices.BinarySearch(stored, pfn)
		if want && (err != nil || !bytes.Equal(page, kdumpPage(pfn))) || !want && !errors.Is(err, ErrNoPage) {
			t.Fatalf("pfn %d: %v, stored: %v", pfn, err, want)
		}
	}
}

func TestKdump(t *testing.T) {
	k := someKdump()
	b, _ := buildKdump(t, k)
	src, r := mustOpen(t, b)
	if src.Format() != "kdump" || src.Machine() != elf.EM_X86_64 || src.PageSize() != 4096 || src.KernelImage() != nil {
		t.Errorf("%v, %v, %d, %x", src.Format(), src.Machine(), src.PageSize(), src.KernelImage())
	}
	if d := cmp.Diff([]Range{{4096, 900 * 4096}, {69000 * 4096, 70000 * 4096}}, src.RAM()); d != "" {
		t.Error(d)
	}
	if !bytes.Equal(src.Notes(), testNotes()) || string(src.VMCoreInfo()) != infoText {
		t.Errorf("notes %q, VMCOREINFO %q", src.Notes(), src.VMCoreInfo())
	}
	kd := src.(Kdump)
	if kd.Stored().Len() != uint64(len(k.stored)) || kd.Header().Uname.Release != "6.1.0" || kd.FileSize() != int64(len(b)) {
		t.Errorf("stored %d, header %+v", kd.Stored().Len(), kd.Header())
	}
	checkKdump(t, r, k.maxPFN, k.stored)

	// Parts of pages, over borders, and again from the cache.
	two := append(kdumpPage(69000), kdumpPage(69002)...)
	for range 2 {
		for _, in := range []int{0, 1, 4000, 4088} {
			p := make([]byte, 8)
			if err := r.ReadPhys(p, 69002*4096+uint64(in)); err != nil || !bytes.Equal(p, two[4096+in:][:8]) {
				t.Errorf("at %d: %v", in, err)
			}
		}
	}
	p := make([]byte, 200)
	if err := r.ReadPhys(p, 69000*4096+4000); !errors.Is(err, ErrNoPage) || !strings.Contains(err.Error(), "0x10d89000") {
		t.Errorf("over into a page that is not stored: %v", err)
	}
	for pfn, why := range map[uint64]string{3: "filtered", 950: "not RAM", 1 << 50: "not RAM"} {
		if err := r.ReadPhys(p, pfn*4096); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("pfn %d: %v", pfn, err)
		}
	}
}

// TestKdumpManyDescs jumps between more descriptors than a reader keeps.
func TestKdumpManyDescs(t *testing.T) {
	k := kdumpParts{maxPFN: 4000, ram: pfns(0, 4000, 1), stored: pfns(0, 4000, 1), codecs: []codec.ID{codec.LZO}}
	b, _ := buildKdump(t, k)
	_, r := mustOpen(t, b)
	page := make([]byte, 4096)
	for i := range uint64(3000) {
		pfn := i * descBlocks * blockDescs % 3989 // a prime
		if err := r.ReadPhys(page, pfn*4096); err != nil || !bytes.Equal(page, kdumpPage(pfn)) {
			t.Fatalf("pfn %d: %v", pfn, err)
		}
	}
}

func TestKdumpDescs(t *testing.T) {
	k := someKdump()
	b, at := buildKdump(t, k)
	src, _ := mustOpen(t, b)
	kd := src.(Kdump)
	all := make([]kdumpfmt.Desc, len(k.stored))
	if err := kd.Descs(all, 0); err != nil {
		t.Fatal(err)
	}
	for i, d := range all {
		if d != kdumpfmt.ParseDesc(b[at+int64(i)*24:]) || d.Check(4096, kd.FileSize()) != nil {
			t.Fatalf("slot %d: %+v", i, d)
		}
	}
	if err := kd.Descs(all[:2], uint64(len(all)-1)); err == nil {
		t.Error("a slot beyond the last")
	}
	if err := kd.Descs(all[:1], math.MaxUint64); err == nil {
		t.Error("slot 2^64-1")
	}
}

func TestKdumpKinds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(k *kdumpParts)
		stored func(pfn uint64) bool
		check  func(t *testing.T, src Kdump)
	}{
		{name: "one bitmap", change: func(k *kdumpParts) { k.oneBitmap, k.ram = true, k.stored }},
		{
			name: "one of a split set",
			change: func(k *kdumpParts) {
				k.stored = slices.DeleteFunc(k.stored, func(pfn uint64) bool { return pfn < 320 || pfn >= 69100 })
				k.change = func(h *kdumpfmt.Header) { h.Split, h.StartPFN, h.EndPFN = 1, 320, 69100 }
			},
		},
		{
			name: "VMCOREINFO outside the notes",
			change: func(k *kdumpParts) {
				k.change = func(h *kdumpfmt.Header) { h.Notes = kdumpfmt.Span{} }
			},
			check: func(t *testing.T, src Kdump) {
				if string(src.VMCoreInfo()) != infoText || src.Notes() != nil {
					t.Errorf("%q, %q", src.VMCoreInfo(), src.Notes())
				}
			},
		},
		{
			name: "VMCOREINFO in the notes alone, no utsname, as QEMU",
			change: func(k *kdumpParts) {
				k.change = func(h *kdumpfmt.Header) { h.VMCoreInfo, h.Uname = kdumpfmt.Span{}, Uname{} }
			},
			check: func(t *testing.T, src Kdump) {
				if string(src.VMCoreInfo()) != infoText || src.Machine() != elf.EM_X86_64 {
					t.Errorf("%q, %v", src.VMCoreInfo(), src.Machine())
				}
			},
		},
		{
			name: "arm64",
			change: func(k *kdumpParts) {
				k.change = func(h *kdumpfmt.Header) { h.Uname.Machine = "aarch64" }
			},
			check: func(t *testing.T, src Kdump) {
				if src.Machine() != elf.EM_AARCH64 {
					t.Error(src.Machine())
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := someKdump()
			tt.change(&k)
			b, _ := buildKdump(t, k)
			src, r := mustOpen(t, b)
			checkKdump(t, r, k.maxPFN, k.stored)
			if tt.check != nil {
				tt.check(t, src.(Kdump))
			}
		})
	}
}

func TestRangesAreBounded(t *testing.T) {
	s := pfnset.New(1 << 20)
	for pfn := uint64(0); pfn < 1<<20; pfn += 2 {
		s.Add(pfn)
	}
	got := rangesOf(s, 4096)
	if len(got) == 0 || len(got) > maxRanges || got[0].Start != 0 || got[len(got)-1].End != (1<<20-1)*4096 {
		t.Errorf("%d ranges", len(got))
	}
}

func TestReadersDoNotAllocate(t *testing.T) {
	k := someKdump()
	b, _ := buildKdump(t, k)
	core := buildELF(elfLayout{}, testNotes(), machineSegs()...)
	page := make([]byte, 4096)
	for name, f := range map[string]struct {
		file []byte
		pas  []uint64
	}{
		"elf":   {core, []uint64{0x100000, 0x200000, 0x10e000}},
		"kdump": {b, []uint64{2 * 4096, 5 * 4096, 8 * 4096, 11 * 4096, 14 * 4096, 69998 * 4096}},
	} {
		_, r := mustOpen(t, f.file)
		i := 0
		read := func() {
			if err := r.ReadPhys(page, f.pas[i%len(f.pas)]); err != nil {
				t.Fatal(err)
			}
			if err := r.ReadPhys(page[:8], f.pas[i%len(f.pas)]+0xc00); err != nil {
				t.Fatal(err)
			}
			i++
		}
		for range 3 * cachePages { // fills the cache, makes the decoders
			read()
		}
		if n := testing.AllocsPerRun(60, read); n != 0 {
			t.Errorf("%s: %v allocations for each read", name, n)
		}
	}
}
