package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// zstdOracle decodes with another decoder; whole is false when the stream does
// not give exactly n bytes. The tests alone use it.
func zstdOracle(t testing.TB) func(src []byte, n int) (out []byte, whole bool) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dec.Close)
	return func(src []byte, n int) ([]byte, bool) {
		out, err := dec.DecodeAll(src, make([]byte, 0, n))
		return out, err == nil && len(out) == n
	}
}

// zstdForeign are the ways in which other writers may put a page.
func zstdForeign(t testing.TB) []func(page []byte) []byte {
	var all []func([]byte) []byte
	for _, o := range [][]zstd.EOption{
		{zstd.WithEncoderLevel(zstd.SpeedFastest)},
		{zstd.WithEncoderLevel(zstd.SpeedDefault)},
		{zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderCRC(false)},
		{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithSingleSegment(true)},
		{zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(8 << 20), zstd.WithAllLitEntropyCompression(true)},
	} {
		e, err := zstd.NewWriter(nil, append(o, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		all = append(all, func(page []byte) []byte { return e.EncodeAll(page, nil) })
	}
	// As a stream: no size in the header, and a small window makes many blocks,
	// which use codes and distances of those before.
	all = append(all, func(page []byte) []byte {
		var out bytes.Buffer
		e, err := zstd.NewWriter(&out, zstd.WithWindowSize(zstd.MinWindowSize), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		for len(page) > 0 {
			n := min(len(page), 900)
			if _, err := e.Write(page[:n]); err != nil {
				t.Fatal(err)
			}
			if err := e.Flush(); err != nil {
				t.Fatal(err)
			}
			page = page[n:]
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	})
	return all
}

func TestZstdOfOthers(t *testing.T) {
	d, oracle := NewDecoder(), zstdOracle(t)
	for size := MinPageSize; size <= MaxPageSize; size *= 2 {
		pages, got := samples(size), make([]byte, size)
		for name, p := range oddPages(size) {
			pages[name] = p
		}
		for way, encode := range zstdForeign(t) {
			for name, p := range pages {
				src := encode(p)
				if out, whole := oracle(src, size); !whole || !bytes.Equal(out, p) {
					t.Fatalf("%d, %s, way %d: the test's own stream is wrong", size, name, way)
				}
				if err := d.Decode(got, FlagZstd, src); err != nil || !bytes.Equal(got, p) {
					t.Fatalf("%d, %s, way %d: %v", size, name, way, err)
				}
				for _, cut := range []int{0, 3, 5, len(src) / 2, len(src) - 1} {
					if err := d.Decode(got, FlagZstd, src[:cut]); !errors.Is(err, ErrCorrupt) {
						t.Fatalf("%d, %s, way %d: cut to %d of %d: %v", size, name, way, cut, len(src), err)
					}
				}
				if err := d.Decode(got, FlagZstd, append(bytes.Clone(src), 0)); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%d, %s, way %d: a byte too many: %v", size, name, way, err)
				}
			}
		}
	}
}

// TestZstdDamaged changes streams a little. What still decodes must be what the
// other decoder sees, and nothing may be written behind the page. Content
// checksums are taken out first, or they would tell most of it.
func TestZstdDamaged(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	d, oracle := NewDecoder(), zstdOracle(t)
	const size = MinPageSize
	whole, both := 0, 0
	for _, src := range zstdSeeds(t) {
		for range 300 {
			bad := bytes.Clone(src)
			for range 1 + r.IntN(3) {
				bad[4+r.IntN(len(bad)-4)] ^= 1 << r.IntN(8)
			}
			ours, theirs := compareZstd(t, d, oracle, bad, size)
			if ours {
				whole++
			}
			if ours && theirs {
				both++
			}
		}
	}
	if both < 100 {
		t.Errorf("%d damaged streams decoded, %d by both: too few to compare", whole, both)
	}
}

// compareZstd tells whether ours and the other decoder take src as a page, and
// fails when both do and differ.
func compareZstd(t *testing.T, d *Decoder, oracle func([]byte, int) ([]byte, bool), src []byte, size int) (ours, theirs bool) {
	t.Helper()
	room := bytes.Repeat([]byte{0xa5}, size+16)
	err := d.Decode(room[:size:size], FlagZstd, src)
	if !bytes.Equal(room[size:], bytes.Repeat([]byte{0xa5}, 16)) {
		t.Fatal("wrote beyond the page")
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Fatalf("error of another kind: %v", err)
	}
	out, theirs := oracle(src, size)
	if err == nil && theirs && !bytes.Equal(out, room[:size]) {
		t.Fatalf("differs from the other decoder: %x", src)
	}
	return err == nil, theirs
}

// zstdSeeds are streams of pages of the smallest size, by all writers.
func zstdSeeds(t testing.TB) (all [][]byte) {
	pages := samples(MinPageSize)
	for _, name := range []string{"matches 3", "matches 20", "fibonacci", "1023 literals"} {
		pages[name] = oddPages(MinPageSize)[name]
	}
	own := newZstdEncoder(MinPageSize)
	foreign := zstdForeign(t)
	const checksum = 1 << 2
	for _, name := range []string{"text", "pointers", "bits", "growing runs", "half random", "matches 3",
		"matches 20", "fibonacci", "1023 literals", "zero"} {
		if out, ok := own.Encode(make([]byte, MaxEncoded(MinPageSize)), pages[name]); ok {
			all = append(all, out)
		}
		for _, encode := range foreign {
			src := encode(pages[name])
			if src[4]&checksum != 0 {
				src[4] &^= checksum
				src = src[:len(src)-4]
			}
			all = append(all, src)
		}
	}
	return all
}

// FuzzZstd gives damaged streams to our decoder and to another.
func FuzzZstd(f *testing.F) {
	for _, src := range zstdSeeds(f) {
		f.Add(src, uint32(MinPageSize))
	}
	d, oracle := NewDecoder(), zstdOracle(f)
	f.Fuzz(func(t *testing.T, src []byte, size uint32) {
		compareZstd(t, d, oracle, src, int(size%(2*MaxPageSize)))
	})
}

// TestZstdByHand has headers and blocks that no encoder here writes.
func TestZstdByHand(t *testing.T) {
	frame := func(header string, blocks ...string) string {
		s := "\x28\xb5\x2f\xfd" + header
		for i, b := range blocks {
			size := uint32(b[0])<<1 | uint32(len(b)-1)<<3
			if b[0] == blockSingle {
				size = blockSingle<<1 | 4096<<3
				b = b[:2]
			}
			if i == len(blocks)-1 {
				size |= 1
			}
			s += string(binary.LittleEndian.AppendUint32(nil, size)[:3]) + b[1:]
		}
		return s
	}
	page := bytes.Repeat([]byte{'x'}, 4096)
	sum := string(binary.LittleEndian.AppendUint32(nil, uint32(xxhash.Sum64(page))))
	const one = "\x01x" // a block of one byte repeated
	for _, tt := range []struct {
		name, src string
		ok        bool
	}{
		{"window, no size", frame("\x00\x50", one), true},
		{"single segment of two bytes of size", frame("\x60\x00\x0f", one), true},
		{"single segment of four bytes", frame("\xa0\x00\x10\x00\x00", one), true},
		{"window and eight bytes", frame("\xc0\x50\x00\x10\x00\x00\x00\x00\x00\x00", one), true},
		{"dictionary 0", frame("\x01\x50\x00", one), true},
		{"empty blocks around", frame("\x00\x50", "\x00", one, "\x00"), true},
		{"raw block", frame("\x00\x50", "\x00"+string(page)), true},
		{"checksum", frame("\x04\x50", one) + sum, true},
		{"wrong checksum", frame("\x04\x50", one) + "abcd", false},
		{"no checksum though announced", frame("\x04\x50", one) + "abc", false},
		{"dictionary 7", frame("\x01\x50\x07", one), false},
		{"reserved bit", frame("\x08\x50", one), false},
		{"wrong size", frame("\x60\x01\x0f", one), false},
		{"reserved block", frame("\x00\x50", "\x03", one), false},
		{"compressed block of nothing", frame("\x00\x50", "\x02", one), false},
		{"two pages", frame("\x00\x50", one, one), false},
		{"no page", frame("\x00\x50", "\x00"), false},
		{"treeless first", frame("\x00\x50", "\x02\x43\x40\x00\x01\x00"), false},
		{"tables of no block before", frame("\x00\x50", "\x02\x00\x01\xfc\x01"), false},
		{"literals repeated, no sequences", frame("\x00\x50", "\x02\x0d\x00\x01x\x00"), true},
	} {
		got := make([]byte, 4096)
		err := Decode(got, FlagZstd, []byte(tt.src))
		if (err == nil) != tt.ok || err == nil && !bytes.Equal(got, page) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
