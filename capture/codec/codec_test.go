package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	lzo "github.com/anchore/go-lzo"
)

var all = []ID{Zlib, LZO, Snappy, Zstd}

// samples are pages of the kinds that memory is made of, by name.
func samples(size int) map[string][]byte {
	r := rand.New(rand.NewPCG(1, uint64(size)))
	m := map[string][]byte{}
	add := func(name string, fill func(p []byte)) {
		p := make([]byte, size)
		fill(p)
		m[name] = p
	}
	add("zero", func(p []byte) {})
	add("ones", func(p []byte) { copy(p, bytes.Repeat([]byte{0xff}, size)) })
	add("random", func(p []byte) { fillRandom(r, p) })
	add("half random", func(p []byte) { fillRandom(r, p[:size/2]) })
	add("random end", func(p []byte) { fillRandom(r, p[size-300:]) })
	// Matches at the longest distances: 2/4 and 5/8 of a page, so that pages of
	// 64 KiB need every LZO instruction.
	for name, from := range map[string]int{"far": size / 2, "farther": size / 8 * 5} {
		add(name, func(p []byte) {
			for i := 0; i < from; i += 128 {
				fillRandom(r, p[i:i+64])
			}
			copy(p[from:], p)
		})
	}
	add("pointers", func(p []byte) {
		for i := 0; i < size; i += 8 {
			v := 0xffff888000000000 + uint64(r.IntN(1<<20))*64
			if r.IntN(3) == 0 {
				v = uint64(r.IntN(100))
			}
			binary.LittleEndian.PutUint64(p[i:], v)
		}
	})
	add("text", func(p []byte) {
		words := []string{"page", "kernel", "the", "of", "slab ", "\n", " = ", "0x", "list_head", "struct"}
		for n := 0; n < size; {
			n += copy(p[n:], words[r.IntN(len(words))])
		}
	})
	add("bits", func(p []byte) {
		for i := range p {
			if r.IntN(9) == 0 {
				p[i] = 1 << r.IntN(8)
			}
		}
	})
	add("growing runs", func(p []byte) { // literal runs and matches of every length
		for n, k := 0, 1; n < size; k++ {
			run := p[n:min(n+k, size)]
			fillRandom(r, run)
			n += len(run)
			n += copy(p[n:], bytes.Repeat([]byte{byte(k)}, k))
		}
	})
	return m
}

func fillRandom(r *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}

func eachEncoder(t *testing.T, f func(t *testing.T, id ID, e Encoder, size int)) {
	for _, id := range all {
		for size := MinPageSize; size <= MaxPageSize; size *= 2 {
			t.Run(fmt.Sprintf("%v/%d", id, size), func(t *testing.T) {
				e, err := NewEncoder(id, size)
				if err != nil {
					t.Fatal(err)
				}
				f(t, id, e, size)
			})
		}
	}
}

func TestRoundTrip(t *testing.T) {
	eachEncoder(t, func(t *testing.T, id ID, e Encoder, size int) {
		d := NewDecoder()
		buf := make([]byte, MaxEncoded(size))
		got := make([]byte, size)
		for name, page := range samples(size) {
			out, ok := e.Encode(buf, page)
			if ok == (name == "random") {
				t.Errorf("%s: shrank: %v", name, ok)
			}
			if !ok {
				continue
			}
			if len(out) >= size || &out[0] != &buf[0] {
				t.Fatalf("%s: %d bytes; aliases the buffer: %v", name, len(out), &out[0] == &buf[0])
			}
			if err := d.Decode(got, id.Flag(), out); err != nil || !bytes.Equal(got, page) {
				t.Fatalf("%s: decode: %v, equal: %v", name, err, bytes.Equal(got, page))
			}
			again, _ := NewEncoder(id, size)
			if twin, _ := again.Encode(make([]byte, MaxEncoded(size)), page); !bytes.Equal(twin, out) {
				t.Errorf("%s: a used encoder gives other bytes than a new one", name)
			}
			if id == LZO {
				clear(got)
				if n, err := lzo.Decompress(out, got); n != size || err != nil || !bytes.Equal(got, page) {
					t.Fatalf("%s: other LZO decoder: %d bytes, %v", name, n, err)
				}
			}
			// Every cut, and a byte too many or too few in the page, is an error.
			for cut := range out {
				if cut < 40 || cut > len(out)-40 {
					if err := d.Decode(got, id.Flag(), out[:cut]); !errors.Is(err, ErrCorrupt) {
						t.Fatalf("%s: cut to %d of %d: %v", name, cut, len(out), err)
					}
				}
			}
			for _, n := range []int{0, 1, size - 1, size + 1, 2 * size} {
				if err := Decode(make([]byte, n), id.Flag(), out); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: into %d bytes: %v", name, n, err)
				}
			}
		}
	})
}

func TestCompresses(t *testing.T) {
	// Compressed sizes in percent that each codec must reach: far enough from
	// what is measured to allow another version, near enough to see a blunder.
	most := map[ID]map[string]int{
		Zlib:   {"zero": 2, "text": 35, "pointers": 55, "half random": 56},
		LZO:    {"zero": 2, "text": 50, "pointers": 70, "half random": 56},
		Snappy: {"zero": 6, "text": 60, "pointers": 75, "half random": 56},
		Zstd:   {"zero": 2, "text": 35, "pointers": 55, "half random": 56},
	}
	eachEncoder(t, func(t *testing.T, id ID, e Encoder, size int) {
		pages := samples(size)
		for name, limit := range most[id] {
			out, _ := e.Encode(make([]byte, MaxEncoded(size)), pages[name])
			if len(out) == 0 || len(out)*100 > size*limit {
				t.Errorf("%s: %d of %d bytes, limit %d%%", name, len(out), size, limit)
			}
		}
	})
}

func TestNoAllocations(t *testing.T) {
	eachEncoder(t, func(t *testing.T, id ID, e Encoder, size int) {
		buf := make([]byte, MaxEncoded(size))
		got := make([]byte, size)
		d := NewDecoder()
		for name, page := range samples(size) {
			if n := testing.AllocsPerRun(20, func() { e.Encode(buf, page) }); n != 0 {
				t.Errorf("%s: encode allocates %v times", name, n)
			}
			out, ok := e.Encode(buf, page)
			if !ok {
				continue
			}
			if n := testing.AllocsPerRun(5, func() { _ = d.Decode(got, id.Flag(), out) }); n != 0 {
				t.Errorf("%s: decode allocates %v times", name, n)
			}
		}
	})
}

func TestRaw(t *testing.T) {
	e, err := NewEncoder(None, 4096)
	if err != nil {
		t.Fatal(err)
	}
	page := samples(4096)["text"]
	if out, ok := e.Encode(make([]byte, MaxEncoded(4096)), page); ok || out != nil {
		t.Fatalf("None compresses: %d bytes", len(out))
	}
	got := make([]byte, 4096)
	if err := Decode(got, 0, page); err != nil || !bytes.Equal(got, page) {
		t.Fatalf("raw page: %v", err)
	}
	if err := Decode(got, 0, page[:4095]); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("short raw page: %v", err)
	}
	if err := Decode(got, FlagZlib|FlagLZO, page); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("two codecs at once: %v", err)
	}
}

func TestNames(t *testing.T) {
	want := map[ID]uint32{None: 0, Zlib: 1, LZO: 2, Snappy: 4, Zstd: 0x20}
	for id, flag := range want {
		if got, err := Parse(id.String()); got != id || err != nil || id.Flag() != flag {
			t.Errorf("%v: Parse %v, %v; flag %#x", id, got, err, id.Flag())
		}
	}
	for _, bad := range []string{"", "lz4", "ZLIB", "zstd "} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) took it", bad)
		}
	}
	for _, size := range []int{0, -4096, 2048, 4095, 12288, 131072} {
		if _, err := NewEncoder(Zlib, size); err == nil {
			t.Errorf("page size %d taken", size)
		}
	}
	if _, err := NewEncoder(9, 4096); err == nil {
		t.Error("codec 9 taken")
	}
}

func TestEncodePanicsOnWrongSize(t *testing.T) {
	eachEncoder(t, func(t *testing.T, id ID, e Encoder, size int) {
		for _, in := range [][2]int{{MaxEncoded(size), size - 1}, {MaxEncoded(size), size + 1}, {MaxEncoded(size) - 1, size}} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("buffer %d, page %d: no panic", in[0], in[1])
					}
				}()
				e.Encode(make([]byte, in[0]), make([]byte, in[1]))
			}()
		}
	})
}
