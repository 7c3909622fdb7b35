package filter_test

import (
	"testing"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/internal/synth"
)

// What the kernel freed of its image is judged like all other memory, as long as
// the rest of the image proves that PG_reserved is understood.
func TestFreedImage(t *testing.T) {
	for name, tt := range map[string]struct {
		of    uint64 // one page in so many was freed
		drops bool
	}{"some": {8, true}, "most": {1, false}} {
		for _, alias := range []bool{true, false} {
			m := synth.New(synth.Options{Runs: someKinds, NoImageAlias: !alias})
			e := m.Opt.Era
			var freed, user, kernel uint64
			for pfn := m.Image.Start / 4096; pfn < m.Image.End/4096; pfn++ {
				if pfn%tt.of != 0 {
					continue
				}
				freed++
				sp := m.StructPage(pfn)
				flags := m.Get64(sp) &^ (1 << e.Reserved)
				if m.Get64(sp)>>e.Reserved&1 == 0 {
					t.Fatal("the page is not reserved in the first place")
				}
				m.Put64(sp, flags)
				if freed%2 == 0 { // now a process has it
					user++
					m.Put64(sp, flags|1<<e.LRU|1<<e.Swapbacked)
					m.Put64(sp+24, 0xffff888000001001) // mapping
					m.Put32(sp+48, 0)                  // _mapcount
				} else {
					kernel++
				}
			}
			if freed == 0 {
				t.Fatal("no page was freed")
			}
			res := scan(t, m, filter.Options{Level: 31})
			all := (m.Image.End - m.Image.Start) / 4096
			want := all
			if tt.drops {
				want -= user
			}
			if n := res.Keep.LenRange(m.Image.Start/4096, m.Image.End/4096); n != want {
				t.Errorf("%s, alias %v: %d of %d pages of the image are kept, want %d", name, alias, n, all, want)
			}
			if n := res.First.LenRange(m.Image.Start/4096, m.Image.End/4096); n != want {
				t.Errorf("%s, alias %v: %d pages of the image go first, want %d", name, alias, n, want)
			}
		}
	}
}
