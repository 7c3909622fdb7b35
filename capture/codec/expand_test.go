package codec

import (
	"bytes"
	"testing"
)

// TestNeverExpands crosses the border between pages that shrink and those that
// do not, in small steps: fewer zeros, and more values of bytes.
func TestNeverExpands(t *testing.T) {
	const size = MinPageSize
	random := samples(size)["random"]
	var pages [][]byte
	for n := size * 7 / 8; n <= size; n++ {
		p := make([]byte, size)
		copy(p, random[:n])
		pages = append(pages, p)
	}
	for values := 256; values > 128; values-- {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(int(random[i]) * values / 256)
		}
		pages = append(pages, p)
	}
	for _, id := range all {
		e, err := NewEncoder(id, size)
		if err != nil {
			t.Fatal(err)
		}
		buf, got := make([]byte, MaxEncoded(size)), make([]byte, size)
		largest, raw := 0, 0
		for i, page := range pages {
			out, ok := e.Encode(buf, page)
			if !ok {
				raw++
				continue
			}
			largest = max(largest, len(out))
			if err := Decode(got, id.Flag(), out); err != nil || !bytes.Equal(got, page) || len(out) >= size {
				t.Fatalf("%v, page %d: %d bytes, %v", id, i, len(out), err)
			}
		}
		if largest < size*3/4 || raw == 0 {
			t.Errorf("%v: %d bytes at most, %d pages did not shrink: not the border", id, largest, raw)
		}
	}
}
