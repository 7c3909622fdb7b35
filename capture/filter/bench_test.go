package filter_test

import (
	"fmt"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/kernel"
)

// BenchmarkScan scans a machine of 8 GiB; B/s is struct pages per second.
func BenchmarkScan(b *testing.B) {
	var runs []synth.Run
	for i := range uint64(64) {
		base := 0x100000 + i*0x2000
		runs = append(runs,
			synth.Run{Kind: synth.Anon, PFN: base, Count: 0x800}, synth.Run{Kind: synth.THP, PFN: base + 0x800, Order: 9, Count: 2},
			synth.Run{Kind: synth.Slab, PFN: base + 0xc00, Order: 3, Count: 0x40}, synth.Run{Kind: synth.Cache, PFN: base + 0x1000, Count: 0x400},
			synth.Run{Kind: synth.Free, PFN: base + 0x1800, Order: 5, Count: 16})
	}
	m := synth.New(synth.Options{RAM: synth.Ranges(0x100000, 0x8000000, 0x100000000, 0x2f0000000), Runs: runs})
	info, err := kernel.ParseInfo(m.Info)
	if err != nil {
		b.Fatal(err)
	}
	flat := flatten(m)
	for _, workers := range []int{1, 2} {
		for _, level := range []int{1, 31} {
			b.Run(fmt.Sprintf("level%d/workers%d", level, workers), func(b *testing.B) {
				b.SetBytes((0x2f0000000 - 0x100000000 + 0x7f00000) / 4096 * 64)
				b.ReportAllocs()
				for b.Loop() {
					res, err := filter.Scan(b.Context(), flat, info, filter.Options{Level: level, Workers: workers})
					if err != nil || len(res.Warnings) > 0 {
						b.Fatal(err, res.Warnings)
					}
				}
			})
		}
	}
}
