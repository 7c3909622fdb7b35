package vmcore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

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
