package dump

import (
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// Pages with the same bytes are stored once, within a block and across, and every
// one of them reads as what it is.
func TestTwins(t *testing.T) {
	for _, id := range codecs {
		for _, alike := range []uint64{10, 301} {
			for _, workers := range []int{1, 3} {
				t.Run(fmt.Sprintf("%v/%d/%d", id, alike, workers), func(t *testing.T) { twinDump(t, id, alike, workers) })
			}
		}
	}
}

func twinDump(t *testing.T, id codec.ID, alike uint64, workers int) {
	core, f := newFakeCore(4096), newMemFile(-1)
	core.alike = alike
	sel := core.selection(some, early)
	st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: id, Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	k := reopen(t, f)
	sameAs(t, k, core, sel.Keep, true)
	addsUp(t, st, sel, k, f)
	// Workers that meet the same page at the same time store it once each.
	stored := st.Raw + st.Compressed - st.Shared
	if most := uint64(workers) * alike; stored == 0 || stored > most {
		t.Errorf("%d pages are stored, of %d kinds; %+v", stored, alike, st)
	}
	if st.First.Bytes+st.Rest.Bytes > stored*4096 {
		t.Errorf("%+v and %+v are more bytes than %d pages", st.First, st.Rest, stored)
	}
	c, err := Verify(t.Context(), k, VerifyOptions{Every: 1})
	if err != nil || c.Zero != st.Zero || c.Raw != st.Raw || c.Compressed != st.Compressed {
		t.Errorf("Verify: %+v, %v; written %+v", c, err, st)
	}
}

// A hash that is the same does not make pages the same.
func TestTwinIsProved(t *testing.T) {
	core := newFakeCore(4096)
	w, pfns := testWorker(t, codec.LZO, core, nil)
	page := make([]byte, 4096)
	for i, pfn := range pfns {
		core.page(page, pfn)
		w.e.twins.add(xxhash.Sum64(page), pfns[(i+1)%len(pfns)], kdumpfmt.Desc{Offset: 7, Size: 8, Flags: w.flag})
		w.e.twins.add(xxhash.Sum64(page), 1<<30, kdumpfmt.Desc{Offset: 7, Size: 8, Flags: w.flag}) // no such page
	}
	if err := w.block(pfns, &w.e.tally[1]); err != nil {
		t.Fatal(err)
	}
	for i, s := range w.states[:len(pfns)] {
		if want := []state{blank, fresh, fresh}[pfns[i]%3]; s != want {
			t.Fatalf("pfn %d: state %d, want %d", pfns[i], s, want)
		}
	}
}

// The table keeps what it was given last, whatever the hash, and all of it.
func TestTwinTable(t *testing.T) {
	tab := newTwins(1 << 40)
	if len(tab.all) != maxTwins/twinWays {
		t.Fatalf("%d sets", len(tab.all))
	}
	if n := len(newTwins(5).all); n != 2 {
		t.Errorf("%d sets for 5 pages", n)
	}
	hash := func(i uint64) uint64 { return i<<33 | 5 } // all in one set
	for i := range uint64(2 * twinWays) {
		d := kdumpfmt.Desc{Offset: 1<<48 - 1 - int64(i), Size: 1 + uint32(i)*9362, Flags: uint32(i%2) * 0x20}
		pfn := uint64(1)<<40 - 1 - i
		tab.add(hash(i), pfn, d)
		for back := range min(i+1, twinWays) {
			if _, _, ok := tab.find(hash(i-back), 0x20); !ok {
				t.Errorf("entry %d is gone after %d more", i-back, back)
			}
		}
		if gotPFN, got, ok := tab.find(hash(i), 0x20); !ok || gotPFN != pfn || got != d {
			t.Errorf("pfn %#x, %+v, %v; put in %#x, %+v", gotPFN, got, ok, pfn, d)
		}
	}
	tab.add(77, 1, kdumpfmt.Desc{Offset: 1 << 48, Size: 1})
	if _, _, ok := tab.find(77, 0); ok {
		t.Error("an offset that does not fit")
	}
}
