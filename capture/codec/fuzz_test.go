package codec

import (
	"bytes"
	"testing"

	lzo "github.com/anchore/go-lzo"
)

// FuzzRoundTrip encodes any page with every codec and wants it back.
func FuzzRoundTrip(f *testing.F) {
	for _, p := range samples(MinPageSize) {
		f.Add(p, false)
	}
	f.Add(samples(MaxPageSize)["farther"], true)
	f.Add([]byte("abc"), true)
	f.Fuzz(func(t *testing.T, data []byte, big bool) {
		size := MinPageSize
		if big {
			size = MaxPageSize
		}
		page := make([]byte, size)
		for n := copy(page, data); n < size && len(data) > 0 && big; {
			n += copy(page[n:], data) // repeats at long distances
		}
		buf, got := make([]byte, MaxEncoded(size)), make([]byte, size)
		for _, id := range all {
			e, err := NewEncoder(id, size)
			if err != nil {
				t.Fatal(err)
			}
			out, ok := e.Encode(buf, page)
			if !ok {
				continue
			}
			if err := Decode(got, id.Flag(), out); err != nil || !bytes.Equal(got, page) {
				t.Fatalf("%v: %v", id, err)
			}
		}
	})
}

// FuzzDecode gives garbage to every decoder. A page that comes out of the LZO
// decoder must be the one that another decoder sees.
func FuzzDecode(f *testing.F) {
	for _, id := range all {
		e, err := NewEncoder(id, MinPageSize)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range []string{"text", "growing runs", "zero"} {
			out, _ := e.Encode(make([]byte, MaxEncoded(MinPageSize)), samples(MinPageSize)[name])
			f.Add(bytes.Clone(out), id.Flag(), uint32(MinPageSize))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, flags, size uint32) {
		size %= MaxPageSize + 1
		room := make([]byte, size+8)
		dst := room[:size:size]
		err := Decode(dst, flags, src)
		if !bytes.Equal(room[size:], make([]byte, 8)) {
			t.Fatal("wrote beyond the page")
		}
		if flags&FlagMask != FlagLZO {
			return
		}
		other := make([]byte, size)
		n, otherErr := lzo.Decompress(src, other)
		if whole := otherErr == nil && n == int(size); whole != (err == nil) || whole && !bytes.Equal(dst, other) {
			t.Fatalf("LZO: ours %v; the other decoder %d bytes, %v", err, n, otherErr)
		}
	})
}
