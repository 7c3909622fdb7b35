package codec

import "testing"

// BenchmarkStage measures the parts of the encoders that do the most work. All but the
// first work on what the matcher found in one page.
func BenchmarkStage(b *testing.B) {
	page := samples(MinPageSize)["pointers"]
	z, e := newZlibEncoder(MinPageSize), newZstdEncoder(MinPageSize)
	z.Encode(make([]byte, MaxEncoded(MinPageSize)), page)
	e.Encode(make([]byte, MaxEncoded(MinPageSize)), page)
	buf := make([]byte, 0, MaxEncoded(MinPageSize))
	for _, stage := range []struct {
		name string
		run  func()
	}{
		{"matches", func() { e.m.find(page) }},
		{"zlib/count", func() { z.z.count() }},
		{"zlib/codes", func() { z.z.build() }},
		{"zlib/write", func() { z.z.w.reset(); z.z.write() }},
		{"zlib/sum", func() { adler(page) }},
		{"zstd/literals", func() { e.literals(buf) }},
		{"zstd/sequences", func() { e.seq.encode(buf, e.m.seqs[:e.m.nseqs], MinPageSize) }},
	} {
		b.Run(stage.name, func(b *testing.B) {
			b.SetBytes(MinPageSize)
			b.ReportAllocs()
			for b.Loop() {
				stage.run()
			}
		})
	}
}
