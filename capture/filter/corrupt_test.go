package filter_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
)

// spoiled writes b at pa, runs do, and puts back what was there.
func spoiled(m *synth.Machine, pa uint64, b []byte, do func()) {
	old := make([]byte, len(b))
	if err := m.ReadPhys(old, pa); err != nil {
		panic(err)
	}
	m.Put(pa, b)
	do()
	m.Put(pa, old)
}

// word is a number as it lies in memory.
func word(v uint64) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b[:]
}

// TestSpoiledTables points entries of page tables and of mem_section at nothing,
// at themselves and at each other's targets.
func TestSpoiledTables(t *testing.T) {
	for name, opt := range map[string]synth.Options{
		"vmemmap": {KASLR: 0x1a000000}, "small pages": {SmallMap: true, Era: &synth.V612}, "7.1": {Era: &synth.V71, Level5: true}, "classic": {Model: synth.Sparse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := manifold(opt)
			rnd := rand.New(rand.NewPCG(1, 2))
			good := scan(t, m, filter.Options{Level: 31})
			try := func(what string, pa uint64, b []byte) {
				spoiled(m, pa, b, func() {
					notLess(t, what, good, scanText(t, m.Source(), m.Info, 31), m)
				})
			}
			for i, table := range m.Tables {
				var used []uint64
				for slot := table; slot < table+4096; slot += 8 {
					if m.Get64(slot) != 0 {
						used = append(used, slot)
					}
				}
				rnd.Shuffle(len(used), func(a, b int) { used[a], used[b] = used[b], used[a] })
				for _, slot := range used[:min(len(used), 12)] {
					e := m.Get64(slot)
					other := m.Get64(used[rnd.IntN(len(used))])
					for how, v := range map[string]uint64{
						"cleared": 0, "at nothing": e&0xfff | 0x7000000000, "at itself": e&0xfff | table, "at another's": other,
						"at memory": e&^0x1ffffff000 | m.Runs[len(m.Runs)-1].PFN*4096&^0x1fffff, "all ones": ^uint64(0), "one bit off": e ^ 1<<21,
					} {
						try(fmt.Sprintf("table %d, entry %d %s", i, slot%4096/8, how), slot, word(v))
					}
				}
			}
			for _, sec := range []uint64{0, 1} {
				slot, other := m.SectionSlot(sec), m.SectionSlot(1-sec)
				v := m.Get64(slot)
				for how, b := range map[string]uint64{
					"cleared": 0, "all ones": ^uint64(0), "user's": 0x7f0000001001, "another's": m.Get64(other), "one page off": v + 4096,
					"one bit off": v ^ 1<<30, "64 off": v + 64<<12, "at the image": m.ImageVA(m.Image.Start) | 0xf, "128 MiB off": v + 2<<20, "a section off": v - 2<<20,
				} {
					try(fmt.Sprintf("section %d %s", sec, how), slot, word(b))
				}
			}
		})
	}
}

// TestSpoiledStructPages puts garbage over struct pages. What they say is gone,
// but no other page may be lost, and none of theirs but by chance.
func TestSpoiledStructPages(t *testing.T) {
	for name, opt := range map[string]synth.Options{"6.1": {}, "6.6": {Era: &synth.V66}, "6.12": {Era: &synth.V612}, "7.1": {Era: &synth.V71}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := manifold(opt)
			good := scan(t, m, filter.Options{Level: 31})
			rnd := rand.New(rand.NewPCG(3, 4))
			fills := map[string]func(b []byte){
				"zeros": func(b []byte) { clear(b) },
				"ones": func(b []byte) {
					for i := range b {
						b[i] = 0xff
					}
				},
				"noise": func(b []byte) {
					for i := range b {
						b[i] = byte(rnd.Uint32())
					}
				},
				"text": func(b []byte) {
					for i := range b {
						b[i] = "gokdump "[i%8]
					}
				},
				"moved by 8":  func(b []byte) { copy(b[8:], b) },
				"moved by 16": func(b []byte) { copy(b, b[16:]) },
				"addresses": func(b []byte) {
					for i := 0; i+8 <= len(b); i += 8 {
						copy(b[i:], word(0xffff888000000000|uint64(rnd.Uint32())))
					}
				},
			}
			first := m.StructPage(m.Runs[0].PFN)
			for how, fill := range fills {
				for _, n := range []uint64{64, 4096, 65536, 1 << 20} {
					b := make([]byte, n)
					if err := m.ReadPhys(b, first); err != nil {
						t.Fatal(err)
					}
					fill(b)
					spoiled(m, first, b, func() {
						notLess(t, fmt.Sprintf("%d bytes of %s", n, how), good, scanText(t, m.Source(), m.Info, 31), m)
					})
				}
			}
		})
	}
}
