package kdumpfmt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example() *Header {
	h := NewHeader(4096, 1<<33+5, 5000)
	h.Uname = Uname{"Linux", "host", "6.1.0-56-cloud-amd64", "#1 SMP", "x86_64", "(none)"}
	h.CrashTime = 1763649600
	h.Status = FlagZstd
	h.CPUs = 4
	h.PhysBase = -0x1000000
	h.DumpLevel = 31
	h.StartPFN, h.EndPFN = 64, 1<<33
	h.VMCoreInfo = Span{h.Notes.Offset + 100, 2000}
	h.EraseInfo = Span{h.DescOffset(), 10}
	return h
}

func TestLayout(t *testing.T) {
	h := example()
	// 104 + 5000 bytes are 2 blocks; 2^33+5 bits are 2^30+1 bytes, 262145 blocks.
	if h.SubBlocks != 2 || h.BitmapBlocks != 2*262145 || h.BitmapSize() != 1<<30+1 || !h.TwoBitmaps() {
		t.Errorf("blocks %d, %d, bitmap %d, two %v", h.SubBlocks, h.BitmapBlocks, h.BitmapSize(), h.TwoBitmaps())
	}
	if h.Bitmap1Offset() != 3*4096 || h.Bitmap2Offset() != (3+262145)*4096 || h.DescOffset() != (3+2*262145)*4096 {
		t.Errorf("offsets %d, %d, %d", h.Bitmap1Offset(), h.Bitmap2Offset(), h.DescOffset())
	}
	if h.Notes.Offset != 4096+104 {
		t.Errorf("notes at %d", h.Notes.Offset)
	}
	b := h.Marshal()
	for off, want := range map[int]uint32{
		8: 6, 408: 1763649600, 416: 0, 424: 0x20, 428: 4096, 432: 2, 436: 524290, 440: math.MaxUint32, 460: 4,
		4096 + 8: 31, 4096 + 48: 4096 + 104, 4096 + 56: 5000, 4096 + 80: 64, 4096 + 96: 5, 4096 + 100: 2,
	} {
		if got := binary.LittleEndian.Uint32(b[off:]); got != want {
			t.Errorf("at %d: %#x, want %#x", off, got, want)
		}
	}
	if len(b) != 4096+104 || string(b[:8]) != "KDUMP   " || string(b[12+4*65:][:7]) != "x86_64\x00" {
		t.Errorf("%d bytes, %q, %q", len(b), b[:8], b[12+4*65:][:7])
	}
}

// sized is a file of any size: what lies beyond its bytes reads as zeros.
type sized []byte

func (s sized) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s)) {
		copy(p, s[off:])
	}
	return len(p), nil
}

func TestParseWhatMarshalWrites(t *testing.T) {
	want := example()
	got, err := ParseHeader(sized(want.Marshal()), want.DescOffset()+1000)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	long := example()
	long.Uname.Release = strings.Repeat("x", 100)
	if got, err = ParseHeader(sized(long.Marshal()), 1<<40); err != nil || len(got.Uname.Release) != 64 {
		t.Errorf("long release: %v, %q", err, got.Uname.Release)
	}
}

func TestOlderVersions(t *testing.T) {
	b := example().Marshal()
	binary.LittleEndian.PutUint32(b[440:], 0x50000) // max_mapnr of 32 bits counts
	binary.LittleEndian.PutUint64(b[4096+16:], 7)   // as does start_pfn
	for version, want := range map[byte]Header{3: {}, 4: {Notes: Span{4200, 5000}}, 5: {Notes: Span{4200, 5000}, EraseInfo: Span{example().DescOffset(), 10}}} {
		b[8] = version
		h, err := ParseHeader(sized(b), 1<<40)
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if h.MaxMapNr != 0x50000 || h.StartPFN != 7 || h.VMCoreInfo.Size != 2000 ||
			h.Notes != want.Notes || h.EraseInfo != want.EraseInfo {
			t.Errorf("version %d: %+v", version, h)
		}
	}
}

func TestParseBad(t *testing.T) {
	put32 := func(off int, v uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[off:], v) }
	}
	put64 := func(off int, v uint64) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint64(b[off:], v) }
	}
	end := example().DescOffset()
	for _, tt := range []struct {
		name   string
		change func([]byte)
		size   int64
		want   error
		text   string
	}{
		{"other signature", func(b []byte) { b[0] = 'X' }, end, ErrHeader, "signature"},
		{"diskdump", func(b []byte) { copy(b, "DISKDUMP") }, end, ErrUnsupported, "diskdump"},
		{"big-endian", put32(8, 6<<24), end, ErrUnsupported, "big-endian"},
		{"version 2", put32(8, 2), end, ErrUnsupported, "version 2"},
		{"version 7", put32(8, 7), end, ErrUnsupported, "version 7"},
		{"32-bit", func(b []byte) { put32(416, 4096)(b); put32(428, 1)(b) }, end, ErrUnsupported, "32-bit"},
		{"block size 0", put32(428, 0), end, ErrHeader, "block size 0"},
		{"block size 5000", put32(428, 5000), end, ErrHeader, "block size 5000"},
		{"block size 128 KiB", put32(428, 1<<17), end, ErrHeader, "block size 131072"},
		{"no sub header", put32(432, 0), end, ErrHeader, "no blocks"},
		{"sub header of 16 TiB", put32(432, math.MaxUint32), end, ErrTruncated, "headers and bitmaps"},
		{"bitmap too small", put32(436, 262144), end, ErrHeader, "do not cover"},
		{"no pages", put64(4096+96, 0), end, ErrHeader, "max_mapnr 0"},
		{"too many pages", put64(4096+96, 1<<40+1), end, ErrHeader, "max_mapnr"},
		{"all pages", put64(4096+96, math.MaxUint64), end, ErrHeader, "max_mapnr"},
		{"notes beyond the end", put64(4096+48, uint64(end)-4999), end, ErrHeader, "notes"},
		{"notes wrap around", put64(4096+56, math.MaxInt64), end, ErrHeader, "notes"},
		{"notes negative", put64(4096+48, math.MaxUint64), end, ErrHeader, "notes"},
		{"huge notes", put64(4096+56, MaxNotes+1), end, ErrHeader, "at most"},
		{"vmcoreinfo negative", put64(4096+40, math.MaxUint64), end, ErrHeader, "VMCOREINFO"},
		{"cut in the bitmaps", func([]byte) {}, end - 1, ErrTruncated, "headers and bitmaps"},
		{"cut in the sub header", func([]byte) {}, 4096 + 103, ErrTruncated, "sub header"},
		{"cut in the main header", func([]byte) {}, 463, ErrTruncated, "main header"},
		{"empty", func([]byte) {}, 0, ErrTruncated, "main header"},
	} {
		b := example().Marshal()
		tt.change(b)
		_, err := ParseHeader(sized(b), tt.size)
		if !errors.Is(err, tt.want) || err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// What nobody needs is no reason to refuse a file.
	h, err := ParseHeader(sized(example().Marshal()), end)
	if err != nil || h.EraseInfo != (Span{}) {
		t.Errorf("lost erase information: %v, %+v", err, h)
	}
}

func TestDesc(t *testing.T) {
	want := Desc{Offset: 1 << 42, Size: 77, Flags: FlagZstd, PageFlags: 1 << 50}
	b := make([]byte, DescSize)
	want.Put(b)
	if got := ParseDesc(b); got != want {
		t.Errorf("%+v", got)
	}
	if !bytes.Equal(b[:16], []byte{0, 0, 0, 0, 0, 4, 0, 0, 77, 0, 0, 0, 0x20, 0, 0, 0}) {
		t.Errorf("% x", b)
	}
	const size = 1 << 20
	for _, tt := range []struct {
		d  Desc
		ok bool
	}{
		{Desc{Offset: 4096, Size: 4096}, true},
		{Desc{Offset: size - 1, Size: 1, Flags: FlagLZO}, true},
		{Desc{Offset: 4096, Size: 4096, Flags: FlagSnappy}, true},
		{Desc{Offset: 0, Size: 4096}, false},
		{Desc{}, false},
		{Desc{Offset: -1, Size: 4096}, false},
		{Desc{Offset: math.MaxInt64, Size: 4096}, false},
		{Desc{Offset: size - 4095, Size: 4096}, false},
		{Desc{Offset: 4096, Size: 4095}, false},
		{Desc{Offset: 4096, Size: 4097, Flags: FlagZlib}, false},
		{Desc{Offset: 4096, Size: 0, Flags: FlagZlib}, false},
		{Desc{Offset: 4096, Size: 100, Flags: FlagZlib | FlagLZO}, false},
		{Desc{Offset: 4096, Size: 100, Flags: 0x40}, false},
	} {
		if err := tt.d.Check(4096, size); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrDesc) {
			t.Errorf("%+v: %v", tt.d, err)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(example().Marshal(), int64(1<<40))
	h := NewHeader(65536, 1000, 0)
	f.Add(h.Marshal(), h.DescOffset())
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		h, err := ParseHeader(sized(b), size)
		if err != nil {
			return
		}
		for _, s := range []Span{{h.Bitmap1Offset(), h.BitmapSize()}, {h.Bitmap2Offset(), h.BitmapSize()}, h.Notes, h.VMCoreInfo, h.EraseInfo} {
			if s.Offset < 0 || s.Size < 0 || s.Offset+s.Size > size {
				t.Fatalf("%+v is not in a file of %d", s, size)
			}
		}
		if h.Version != Version {
			return
		}
		again, err := ParseHeader(sized(h.Marshal()), size)
		if d := cmp.Diff(h, again); err != nil || d != "" {
			t.Fatalf("written again: %v\n%s", err, d)
		}
	})
}
