package vmcore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore/flat"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// flatten writes b as a pipe would get it: two streams in records of size bytes
// and its half, one from the start and one from the middle, and first of all
// zeros where the header goes.
func flatten(b []byte, size int) []byte {
	out := make([]byte, flat.HeaderSize)
	copy(out, flat.Magic)
	out[23], out[31] = flat.Type, flat.Version
	put := func(off, n int, data []byte) {
		out = binary.BigEndian.AppendUint64(out, uint64(off))
		out = binary.BigEndian.AppendUint64(out, uint64(n))
		out = append(out, data...)
	}
	put(0, 64, make([]byte, 64))
	mid := len(b) / 2
	for i, j := 0, mid; i < mid || j < len(b); i, j = i+size, j+size/2 {
		if i < mid {
			n := min(size, mid-i)
			put(i, n, b[i:i+n])
		}
		if j < len(b) {
			n := min(size/2, len(b)-j)
			put(j, n, b[j:j+n])
		}
	}
	put(-1, -1, nil)
	return out
}

// pieces flattens by the given bounds, in their order.
func pieces(b []byte, bounds ...int64) []byte {
	out := flatten(nil, 1)[:flat.HeaderSize]
	for i := 0; i+1 < len(bounds); i += 2 {
		out = binary.BigEndian.AppendUint64(out, uint64(bounds[i]))
		out = binary.BigEndian.AppendUint64(out, uint64(bounds[i+1]-bounds[i]))
		out = append(out, b[bounds[i]:bounds[i+1]]...)
	}
	return out
}

// sameCore compares all that two cores say.
func sameCore(t *testing.T, got, want []byte) {
	t.Helper()
	a, ra := mustOpen(t, got)
	b, rb := mustOpen(t, want)
	if a.Format() != b.Format()+", flattened" {
		t.Errorf("format %q", a.Format())
	}
	if a.Machine() != b.Machine() || a.PageSize() != b.PageSize() || !bytes.Equal(a.Notes(), b.Notes()) || !bytes.Equal(a.VMCoreInfo(), b.VMCoreInfo()) {
		t.Error("not the same core")
	}
	if len(a.RAM()) != len(b.RAM()) || len(a.KernelImage()) != len(b.KernelImage()) {
		t.Fatalf("RAM %x, image %x", a.RAM(), a.KernelImage())
	}
	p, q := make([]byte, 4096), make([]byte, 4096)
	for i, r := range b.RAM() {
		if a.RAM()[i] != r {
			t.Errorf("RAM %x, want %x", a.RAM(), b.RAM())
		}
		for pa := r.Start &^ 4095; pa < r.End; pa += 4096 {
			ea, eb := ra.ReadPhys(p, pa), rb.ReadPhys(q, pa)
			if (ea == nil) != (eb == nil) || errors.Is(ea, ErrNoPage) != errors.Is(eb, ErrNoPage) || ea == nil && !bytes.Equal(p, q) {
				t.Fatalf("page at %#x differs: %v, %v", pa, ea, eb)
			}
		}
	}
}

func TestFlattened(t *testing.T) {
	elfCore := buildELF(elfLayout{phdrsLast: true}, testNotes(),
		seg{vaddr: imageVA, paddr: 0x1000, data: mem(0x1000, 0x2000)},
		seg{vaddr: directVA, paddr: 0x0c00, data: mem(0x0c00, 0x4900), more: 0x3000})
	kdump, _ := buildKdump(t, kdumpParts{maxPFN: 400, ram: pfns(1, 390, 1), stored: pfns(2, 300, 3), codecs: []codec.ID{codec.Zlib, codec.None, codec.LZO}})
	for name, b := range map[string][]byte{"ELF": elfCore, "kdump": kdump} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{40, 513, 4096, 65536} {
				sameCore(t, flatten(b, size), b)
			}
		})
	}
	t.Run("not a core", func(t *testing.T) {
		for want, inner := range map[string][]byte{"flattened twice": flatten(kdump, 4096), "suspend": append([]byte("\xd2\xbe\xd2\xbe"), make([]byte, 99)...)} {
			b := pieces(inner, 0, int64(len(inner)))
			b = append(b, bytes.Repeat([]byte{0xff}, 16)...)
			if _, err := Open(fileOf(b)); !errors.Is(err, ErrNotCore) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
}

// A flattened dump that was cut gives what is in it, counts the rest, and passes
// nothing off as zeros.
func TestFlattenedTruncated(t *testing.T) {
	stored := pfns(2, 300, 3)
	b, descs := buildKdump(t, kdumpParts{maxPFN: 400, ram: pfns(1, 390, 1), stored: stored, codecs: []codec.ID{codec.None, codec.Zlib}})
	end := int64(len(b))
	half := descs + int64(len(stored))/2*kdumpfmt.DescSize
	data := descs + int64(len(stored))*kdumpfmt.DescSize
	mid := (data + end) / 2
	for name, tt := range map[string]struct {
		bounds []int64
		none   int // pages without descriptor
	}{
		"second half of the data":    {[]int64{0, data, data, mid}, 0},
		"first half of the data":     {[]int64{0, data, mid, end}, 0},
		"descriptors":                {[]int64{0, half, data, end}, len(stored) - len(stored)/2},
		"descriptors, nothing after": {[]int64{0, half}, len(stored) - len(stored)/2},
	} {
		t.Run(name, func(t *testing.T) {
			f := pieces(b, tt.bounds...)
			if _, err := Open(fileOf(f)); !errors.Is(err, ErrTruncated) {
				t.Fatalf("opens: %v", err)
			}
			src, r := mustOpen(t, f, Salvage())
			l, err := LossOf(t.Context(), src.(Kdump))
			if err != nil || l.Bitmaps || int(l.NoDesc) != tt.none {
				t.Errorf("%+v, %v", l, err)
			}
			var lost uint64
			p := make([]byte, 4096)
			for _, pfn := range stored {
				switch err := r.ReadPhys(p, pfn*4096); {
				case errors.Is(err, ErrTruncated) && errors.Is(err, ErrNoPage):
					lost++
				case err != nil:
					t.Errorf("pfn %d: %v", pfn, err)
				case !bytes.Equal(p, kdumpPage(pfn)):
					t.Errorf("pfn %d: wrong content", pfn)
				}
			}
			if lost == 0 || lost == uint64(len(stored)) && tt.none == 0 || l.Pages() != lost {
				t.Errorf("%d of %d pages lost, counted %d", lost, len(stored), l.Pages())
			}
		})
	}
	t.Run("bitmap", func(t *testing.T) {
		h, err := kdumpfmt.ParseHeader(bytes.NewReader(b), end)
		if err != nil {
			t.Fatal(err)
		}
		src, _ := mustOpen(t, pieces(b, 0, h.Bitmap2Offset()+10, descs, end), Salvage())
		if l, err := LossOf(t.Context(), src.(Kdump)); err != nil || !l.Bitmaps {
			t.Errorf("%+v, %v", l, err)
		}
	})
	t.Run("hopeless", func(t *testing.T) {
		for _, n := range []int64{100, 5000, descs - 5000} {
			if _, err := Open(fileOf(pieces(b, 0, n)), Salvage()); !errors.Is(err, ErrHopeless) || !errors.Is(err, ErrTruncated) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	})
}

func TestFlattenedELFTruncated(t *testing.T) {
	b := buildELF(elfLayout{}, testNotes(), seg{vaddr: directVA, paddr: 0x10000, data: mem(0x10000, 0x8000)})
	at := int64(len(b)) - 0x8000
	src, r := mustOpen(t, pieces(b, 0, at+0x1000, at+0x3000, int64(len(b))), Salvage())
	if src.Format() != "elf, flattened" {
		t.Errorf("format %q", src.Format())
	}
	p := make([]byte, 0x1000)
	for i := range uint64(8) {
		pa := 0x10000 + i*0x1000
		err := r.ReadPhys(p, pa)
		if lost := i == 1 || i == 2; lost != errors.Is(err, ErrTruncated) || !lost && (err != nil || !bytes.Equal(p, mem(pa, 0x1000))) {
			t.Errorf("page %d: %v", i, err)
		}
	}
}

// A small file must not make a reader go through bitmaps of many GiB of zeros.
func TestFlattenedHugeBitmaps(t *testing.T) {
	b, _ := buildKdump(t, kdumpParts{maxPFN: 400, ram: pfns(1, 390, 1), stored: pfns(2, 300, 3), codecs: []codec.ID{codec.None}})
	h, err := kdumpfmt.ParseHeader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	h.MaxMapNr = 1 << 39
	h.BitmapBlocks = 1 << 25
	copy(b, h.Marshal())
	f := pieces(b, 0, int64(len(b)))
	f = binary.BigEndian.AppendUint64(f, 1<<50)
	f = binary.BigEndian.AppendUint64(f, 1)
	f = append(append(f, 0), bytes.Repeat([]byte{0xff}, 16)...)
	if _, err := Open(fileOf(f)); !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "bitmaps of") {
		t.Errorf("%v", err)
	}
}

func TestOpenPathKinds(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	hold, err := os.OpenFile(pipe, os.O_RDWR, 0) // so that opening does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	for path, want := range map[string]string{dir: "directory", pipe: "pipe", "/dev/null": "character device"} {
		if _, err := OpenPath(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
