package vmcore

import (
	"bytes"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore/flat"
)

// readAll reads the RAM of a core of any bytes, up to a bound, and holds the
// Source to its word.
func readAll(t *testing.T, b []byte, opts ...Option) {
	src, err := Open(fileOf(b), opts...)
	if err != nil {
		return
	}
	if n := src.PageSize(); n < 4096 || n > 65536 || n&(n-1) != 0 {
		t.Fatalf("page size %d", n)
	}
	if len(src.Notes()) > maxNotes || len(src.VMCoreInfo()) > len(b) {
		t.Fatalf("%d bytes of notes, %d of VMCOREINFO in a file of %d", len(src.Notes()), len(src.VMCoreInfo()), len(b))
	}
	r, err := src.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, src.PageSize())
	left, last := 300, uint64(0)
	for i, g := range src.RAM() {
		if g.Start >= g.End || i > 0 && g.Start <= last {
			t.Fatalf("RAM %x", src.RAM())
		}
		last = g.End
		for pa := g.Start; pa < g.End && left > 0; pa += src.PageSize() {
			_ = r.ReadPhys(page, pa)
			_ = r.ReadPhys(page[:9], pa+src.PageSize()-5)
			left--
		}
		_ = r.ReadPhys(page, g.End-1)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzOpenELF(f *testing.F) {
	small := []seg{
		{vaddr: imageVA, paddr: 0x1000, data: mem(0x1000, 0x100)},
		{vaddr: directVA, paddr: 0x0c00, data: mem(0x0c00, 0x900), more: 0x3000},
	}
	for _, l := range []elfLayout{{}, {phdrsLast: true}, {xnum: true}, {machine: 183}} {
		b := buildELF(l, testNotes(), small...)
		f.Add(b)
		f.Add(b[:len(b)-0x300])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		readAll(t, b)
		readAll(t, b, Salvage())
	})
}

func FuzzOpenKdump(f *testing.F) {
	for _, id := range []codec.ID{codec.None, codec.Zlib, codec.LZO, codec.Snappy, codec.Zstd} {
		b, at := buildKdump(f, kdumpParts{maxPFN: 40, ram: pfns(1, 30, 1), stored: pfns(2, 20, 9), codecs: []codec.ID{id}})
		f.Add(b)
		f.Add(b[:at+30])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !bytes.HasPrefix(b, []byte("KDUMP   ")) {
			return
		}
		readAll(t, b)
		readAll(t, b, Salvage())
	})
}

// FuzzOpenFlattened cuts and changes flattened cores behind their first bytes.
func FuzzOpenFlattened(f *testing.F) {
	b, _ := buildKdump(f, kdumpParts{maxPFN: 20, ram: pfns(1, 18, 1), stored: pfns(2, 9, 3), codecs: []codec.ID{codec.Zlib}})
	e := buildELF(elfLayout{}, testNotes(), seg{vaddr: directVA, paddr: 0x1000, data: mem(0x1000, 0x800)})
	for _, b := range [][]byte{b, e} {
		f.Add(flatten(b, 600)[flat.HeaderSize:])
		f.Add(flatten(b, 9000)[flat.HeaderSize:][:len(b)/2])
	}
	head := flatten(nil, 1)[:flat.HeaderSize]
	f.Fuzz(func(t *testing.T, records []byte) {
		b := append(bytes.Clone(head), records...)
		readAll(t, b)
		readAll(t, b, Salvage())
	})
}
