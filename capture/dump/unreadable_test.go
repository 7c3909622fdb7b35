package dump

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
)

func TestUnreadable(t *testing.T) {
	eio := fmt.Errorf("read: %w", syscall.EIO)
	for _, tt := range []struct {
		name   string
		bad    func(pfn uint64) error
		lost   func(n uint64) bool // is so many unreadable pages right
		maxTry int64
	}{
		{"none", func(uint64) error { return nil }, func(n uint64) bool { return n == 0 }, 200},
		{"one", at(40007, eio), func(n uint64) bool { return n == 1 }, 500},
		{"scattered", func(p uint64) error { return when(p%50 == 1, eio) }, func(n uint64) bool { return n == 34 }, 2000},
		{"not there", func(p uint64) error { return when(p >= 40500, fmt.Errorf("read: %w", vmcore.ErrNoPage)) },
			func(n uint64) bool { return n == 501 }, 3000},
		// From the first bad page to the end of the block each: some good ones go too.
		{"a long run", func(p uint64) error { return when(p >= 40100 && p < 40800, eio) },
			func(n uint64) bool { return n >= 700 && n < 700+blockPages }, 700},
	} {
		for _, workers := range []int{1, 4} {
			core, f := newFakeCore(4096), newMemFile(-1)
			core.bad = map[uint64]error{}
			sel := core.selection(nil, nil)
			for pfn, ok := sel.Keep.Next(0); ok; pfn, ok = sel.Keep.Next(pfn + 1) {
				if err := tt.bad(pfn); err != nil {
					core.bad[pfn] = err
				}
			}
			var tries atomic.Int64
			core.reads = func() { tries.Add(1) }
			st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.Zstd, Workers: workers})
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			k := reopen(t, f)
			n := sameAs(t, k, core, sel.Keep, false)
			addsUp(t, st, sel, k, f)
			if !tt.lost(st.Unreadable) || n+st.Unreadable != st.Pages || tries.Load() > tt.maxTry {
				t.Errorf("%s: %d unreadable, %d stored, %d reads", tt.name, st.Unreadable, n, tries.Load())
			}
			if (st.Unreadable > 0) != (st.ReadError != nil) || uint64(len(st.UnreadableAt)) != min(st.Unreadable, keptErrors) {
				t.Errorf("%s: error %v, addresses %#x", tt.name, st.ReadError, st.UnreadableAt)
			}
			for _, pa := range st.UnreadableAt {
				if k.Stored().Has(pa / 4096) {
					t.Errorf("%s: %#x is named and stored", tt.name, pa)
				}
			}
		}
	}
}

func at(pfn uint64, err error) func(uint64) error {
	return func(p uint64) error { return when(p == pfn, err) }
}

func when(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// A core of which nothing can be read must not cost a read for each page.
func TestNothingReadable(t *testing.T) {
	core, f := newFakeCore(4096), newMemFile(-1)
	core.ram = []vmcore.Range{{Start: 0, End: 50000 * 4096}}
	sel := core.selection(nil, nil)
	core.bad = map[uint64]error{}
	for pfn := range uint64(50000) {
		core.bad[pfn] = syscall.EIO
	}
	var tries atomic.Int64
	core.reads = func() { tries.Add(1) }
	st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.Zstd, Workers: 2})
	if !errors.Is(err, ErrNothing) || !errors.Is(err, syscall.EIO) {
		t.Errorf("Write: %v", err)
	}
	if st.Unreadable != 50000 || tries.Load() > 5000 {
		t.Errorf("%d unreadable after %d reads", st.Unreadable, tries.Load())
	}
}
