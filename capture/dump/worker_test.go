package dump

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/pfnset"
)

// discard is an Output that takes everything.
type discard struct{}

func (discard) WriteAt(p []byte, off int64) (int, error) { return len(p), nil }
func (discard) ReadAt(p []byte, off int64) (int, error)  { return len(p), nil }
func (discard) Truncate(int64) error                     { return nil }

// testWorker makes a worker and a block of pages, of all kinds and with holes.
func testWorker(t testing.TB, id codec.ID, core *fakeCore, keep func(pfn uint64) bool) (*worker, []uint64) {
	t.Helper()
	sel := core.selection(keep, nil)
	h, _, err := newHeader(core)
	if err != nil {
		t.Fatal(err)
	}
	l, err := layOut(h, sel.Keep)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{out: discard{}, src: core, codec: id, keep: sel.Keep, rank: pfnset.NewIndex(sel.Keep), l: l, twins: newTwins(l.Pages)}
	w, err := newWorker(e)
	if err != nil {
		t.Fatal(err)
	}
	from := &wave{in: sel.Keep}
	n := from.take(w.pfns)
	if n != blockPages {
		t.Fatalf("a block of %d pages", n)
	}
	return w, slices.Clone(w.pfns[:n])
}

// Memory is what a crash kernel lacks: the page loop must not allocate.
func TestNoAllocations(t *testing.T) {
	for _, id := range codecs {
		if raceEnabled && id == codec.Snappy { // its sync.Pool drops things on purpose then
			continue
		}
		w, pfns := testWorker(t, id, newFakeCore(4096), some)
		for _, known := range []bool{false, true} {
			if n := testing.AllocsPerRun(10, func() {
				if !known {
					clear(w.e.twins.tags)
				}
				if err := w.block(pfns, &w.e.tally[1]); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v: %v allocations in a block, its pages known: %v", id, n, known)
			}
		}
	}
	core := newFakeCore(4096)
	sel := core.selection(some, early)
	from, pfns := &wave{in: sel.Keep, without: sel.First}, make([]uint64, blockPages)
	if n := testing.AllocsPerRun(10, func() {
		from.pfn = 0
		for from.take(pfns) > 0 {
		}
	}); n != 0 {
		t.Errorf("%v allocations in giving out a wave", n)
	}
}

func TestWaves(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, early)
	image := pfnset.New(sel.Keep.Limit())
	first, _ := sel.First.Next(0)
	image.Add(first)
	for _, tt := range []struct {
		name  string
		first *pfnset.Set
		image *pfnset.Set
		waves int
	}{
		{"one", nil, image, 1},
		{"empty", pfnset.New(10), image, 1},
		{"two", sel.First, sel.Keep, 2}, // an image that is not in First
		{"three", sel.First, image, 3},
	} {
		e := &engine{}
		waves := e.plan(sel.Keep, tt.first, tt.image)
		if len(waves) != tt.waves {
			t.Errorf("%s: %d waves", tt.name, len(waves))
		}
		seen := map[uint64]int{}
		for i, w := range waves {
			pfns := make([]uint64, 7) // so that blocks end anywhere
			for n := w.take(pfns); n > 0; n = w.take(pfns) {
				for _, pfn := range pfns[:n] {
					if _, twice := seen[pfn]; twice || !sel.Keep.Has(pfn) {
						t.Fatalf("%s: pfn %d is in two waves, or not to be kept", tt.name, pfn)
					}
					seen[pfn] = i
				}
			}
		}
		if uint64(len(seen)) != sel.Keep.Len() || e.tally[0].pages+e.tally[1].pages != sel.Keep.Len() {
			t.Errorf("%s: %d pages of %d; %d and %d are planned", tt.name, len(seen), sel.Keep.Len(), e.tally[0].pages, e.tally[1].pages)
		}
		for pfn, i := range seen {
			if tt.waves > 1 && (i < tt.waves-1) != sel.First.Has(pfn) || tt.waves == 3 && (i == 0) != image.Has(pfn) {
				t.Fatalf("%s: pfn %d is in wave %d", tt.name, pfn, i)
			}
		}
	}
}

// BenchmarkBlock is the page loop as a whole, BenchmarkStage its parts. The pages
// are a third zeros, a third noise, a third text.
func BenchmarkBlock(b *testing.B) {
	for _, id := range codecs {
		b.Run(id.String(), func(b *testing.B) {
			w, pfns := testWorker(b, id, newFakeCore(4096), nil)
			b.SetBytes(int64(len(pfns)) * 4096)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.e.twins.tags) // or no page would be new
				w.block(pfns, &w.e.tally[1])
			}
		})
	}
}

func BenchmarkStage(b *testing.B) {
	w, pfns := testWorker(b, codec.Zstd, newFakeCore(4096), nil)
	for _, s := range []struct {
		name string
		do   func()
	}{
		{"load", func() { w.load(pfns[:len(w.read)]) }}, // and making up the pages
		{"pack", func() { w.out = w.out[:0]; w.pack(pfns, 0, len(w.read)) }},
		{"describe", func() { w.describe(pfns, w.e.l.Data) }},
	} {
		b.Run(s.name, func(b *testing.B) {
			w.load(pfns[:len(w.read)])
			w.out = w.out[:0]
			w.pack(pfns, 0, len(w.read))
			b.SetBytes(int64(len(w.read)) * 4096)
			for b.Loop() {
				s.do()
			}
		})
	}
	for _, keep := range []struct {
		name string
		f    func(uint64) bool
	}{{"all", nil}, {"some", some}} {
		b.Run(fmt.Sprint("take/", keep.name), func(b *testing.B) {
			from := &wave{in: newFakeCore(4096).selection(keep.f, nil).Keep}
			b.SetBytes(int64(len(pfns)) * 4096)
			for b.Loop() {
				from.pfn = 0
				from.take(pfns)
			}
		})
	}
}
