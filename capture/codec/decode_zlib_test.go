package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/flate"
)

// zlibForeign is page as other writers may put it, with a block flushed now and
// then, which also gives stored blocks of nothing.
func zlibForeign(t testing.TB, page []byte, level, flush int) []byte {
	out := bytes.NewBuffer([]byte{0x78, 0x01})
	w, err := flate.NewWriter(out, level)
	if err != nil {
		t.Fatal(err)
	}
	for rest := page; len(rest) > 0; {
		n := min(len(rest), flush)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.AppendUint32(out.Bytes(), adler32.Checksum(page))
}

func TestZlibOfOthers(t *testing.T) {
	d := NewDecoder()
	for _, size := range []int{MinPageSize, 16 << 10, MaxPageSize} {
		got := make([]byte, size)
		for _, pages := range []map[string][]byte{samples(size), oddPages(size)} {
			for name, p := range pages {
				for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
					flush := size
					if level == 6 {
						flush = 700
					}
					src := zlibForeign(t, p, level, flush)
					if err := d.Decode(got, FlagZlib, src); err != nil || !bytes.Equal(got, p) {
						t.Fatalf("%d, %s, level %d: %v", size, name, level, err)
					}
					for _, cut := range []int{0, 3, 6, len(src) / 2, len(src) - 1} {
						if err := d.Decode(got, FlagZlib, src[:cut]); !errors.Is(err, ErrCorrupt) {
							t.Fatalf("%d, %s, level %d: cut to %d of %d: %v", size, name, level, cut, len(src), err)
						}
					}
				}
			}
		}
	}
}

// compareZlib tells whether a deflate stream is one of exactly size bytes for ours
// and for another decoder. Our checksum is set right, or it would tell most damage.
func compareZlib(t *testing.T, d *Decoder, body []byte, size int) (ours, theirs bool) {
	t.Helper()
	room := bytes.Repeat([]byte{0xa5}, size+16)
	in := bytes.NewReader(body)
	out := make([]byte, size+1)
	n, err := io.ReadFull(flate.NewReader(in), out)
	theirs = n == size && errors.Is(err, io.ErrUnexpectedEOF) && in.Len() == 0
	if size == 0 {
		theirs = n == 0 && err == io.EOF && in.Len() == 0
	}
	// ReadFull makes the plain end and the one too early look the same.
	if theirs {
		_, err = io.ReadAll(flate.NewReader(bytes.NewReader(body)))
		theirs = err == nil
	}
	sum := adler32.Checksum(out[:size])
	src := binary.BigEndian.AppendUint32(append([]byte{0x78, 0x01}, body...), sum)
	err = d.Decode(room[:size:size], FlagZlib, src)
	if !bytes.Equal(room[size:], bytes.Repeat([]byte{0xa5}, 16)) {
		t.Fatal("wrote beyond the page")
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Fatalf("error of another kind: %v", err)
	}
	if ours = err == nil; ours != theirs {
		t.Fatalf("ours %v, the other decoder %v: %x", err, theirs, body)
	}
	if ours && !bytes.Equal(out[:size], room[:size]) {
		t.Fatalf("differs from the other decoder: %x", body)
	}
	return ours, theirs
}

// zlibSeeds are deflate streams of pages of the smallest size, by all writers.
func zlibSeeds(t testing.TB) (all [][]byte) {
	own := newZlibEncoder(MinPageSize)
	for name, p := range samples(MinPageSize) {
		if name == "random" {
			continue
		}
		if out, ok := own.Encode(make([]byte, MaxEncoded(MinPageSize)), p); ok {
			all = append(all, out[2:len(out)-4])
		}
		for _, level := range []int{flate.HuffmanOnly, 1, 9} {
			src := zlibForeign(t, p, level, 1500)
			all = append(all, src[2:len(src)-4])
		}
	}
	return all
}

func TestZlibDamaged(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	d, both := NewDecoder(), 0
	for _, src := range zlibSeeds(t) {
		for range 200 {
			bad := bytes.Clone(src)
			for range 1 + r.IntN(2) {
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			}
			if ours, _ := compareZlib(t, d, bad, MinPageSize); ours {
				both++
			}
		}
	}
	if both < 100 {
		t.Errorf("%d damaged streams decoded: too few to compare", both)
	}
}

// FuzzZlib gives damaged streams to our decoder and to another.
func FuzzZlib(f *testing.F) {
	for _, src := range zlibSeeds(f) {
		f.Add(src, uint32(MinPageSize))
	}
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte, size uint32) {
		compareZlib(t, d, body, int(size%(2*MaxPageSize)))
	})
}
