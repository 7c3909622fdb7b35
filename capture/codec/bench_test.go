package codec

import (
	"fmt"
	"testing"
)

// benchPages are what memory is made of, without what is all zeros or random.
func benchPages(size int) [][]byte {
	s := samples(size)
	return [][]byte{s["text"], s["pointers"], s["bits"], s["half random"], s["growing runs"]}
}

func BenchmarkEncode(b *testing.B) {
	for _, id := range all {
		for _, size := range []int{MinPageSize, MaxPageSize} {
			b.Run(fmt.Sprintf("%v/%d", id, size), func(b *testing.B) {
				e, err := NewEncoder(id, size)
				if err != nil {
					b.Fatal(err)
				}
				pages, buf := benchPages(size), make([]byte, MaxEncoded(size))
				b.SetBytes(int64(len(pages) * size))
				b.ReportAllocs()
				for b.Loop() {
					for _, p := range pages {
						e.Encode(buf, p)
					}
				}
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, id := range all {
		b.Run(id.String(), func(b *testing.B) {
			e, err := NewEncoder(id, MinPageSize)
			if err != nil {
				b.Fatal(err)
			}
			var in [][]byte
			for _, p := range benchPages(MinPageSize) {
				if out, ok := e.Encode(make([]byte, MaxEncoded(MinPageSize)), p); ok {
					in = append(in, out)
				}
			}
			d, dst := NewDecoder(), make([]byte, MinPageSize)
			b.SetBytes(int64(len(in) * MinPageSize))
			b.ReportAllocs()
			for b.Loop() {
				for _, s := range in {
					if err := d.Decode(dst, id.Flag(), s); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
