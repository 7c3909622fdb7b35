package dump

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

func TestSplit(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			core := newFakeCore(4096)
			sel := core.selection(some, early)
			parts, err := Splits(core, sel, n)
			if err != nil {
				t.Fatal(err)
			}
			seen := pfnset.New(sel.Keep.Limit())
			next, head := uint64(0), ""
			for i, p := range parts {
				out := newMemFile(-1)
				st, err := Write(t.Context(), out, core, sel, Meta{CrashTime: 7}, Options{Codec: codec.Zstd, Workers: 2, Split: &p})
				if err != nil {
					t.Fatal(err)
				}
				k := reopen(t, out)
				h := k.Header()
				switch {
				case p.Start != next || p.Start%64 != 0:
					t.Errorf("file %d starts at pfn %#x, the one before ends at %#x", i, p.Start, next)
				case h.Split != 1 || h.StartPFN != p.Start || h.EndPFN != p.End:
					t.Errorf("header: split %d, %#x to %#x", h.Split, h.StartPFN, h.EndPFN)
				case head != "" && head != string(out.data[:464]):
					t.Error("the main headers differ")
				case st.Stored != sel.Keep.LenRange(p.Start, p.End):
					t.Errorf("%d pages stored, of %d", st.Stored, sel.Keep.LenRange(p.Start, p.End))
				case st.Stored*uint64(n) > sel.Keep.Len()*2:
					t.Errorf("file %d of %d has %d of %d pages", i, n, st.Stored, sel.Keep.Len())
				}
				head, next = string(out.data[:464]), p.End
				own := sel.Keep.Clone()
				own.RemoveRange(0, p.Start)
				own.RemoveRange(p.End, own.Limit())
				sameAs(t, k, core, own, true)
				if _, err := Verify(t.Context(), k, VerifyOptions{Every: 1}); err != nil {
					t.Error(err)
				}
				for pfn, ok := k.Stored().Next(0); ok; pfn, ok = k.Stored().Next(pfn + 1) {
					if seen.Has(pfn) {
						t.Fatalf("pfn %#x is in two files", pfn)
					}
					seen.Add(pfn)
				}
			}
			if next != sel.Keep.Limit() || seen.Len() != sel.Keep.Len() {
				t.Errorf("the set ends at pfn %#x with %d pages, want %#x with %d", next, seen.Len(), sel.Keep.Limit(), sel.Keep.Len())
			}
		})
	}
}

func TestSplitsNotPossible(t *testing.T) {
	core := newFakeCore(4096)
	one := core.selection(func(pfn uint64) bool { return pfn == 600 }, nil)
	for _, tt := range []struct {
		sel *filter.Result
		n   int
	}{
		{core.selection(some, nil), 0},
		{core.selection(some, nil), -1},
		{core.selection(some, nil), 1 << 20},
		{one, 2},
	} {
		if parts, err := Splits(core, tt.sel, tt.n); err == nil {
			t.Errorf("%d files: %+v", tt.n, parts)
		}
	}
	for _, s := range []Split{{10, 64}, {64, 64}, {128, 64}, {0, 70}, {0, 1 << 30}} {
		if _, err := Write(t.Context(), newMemFile(-1), core, core.selection(some, nil), Meta{}, Options{Split: &s}); err == nil {
			t.Errorf("pfns %#x to %#x: no error", s.Start, s.End)
		}
	}
}

// A file of a set that lacks pages would make the set lie: it is an error. Pages
// that the core does not give are another matter.
func TestSplitCutShort(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, early)
	parts, err := Splits(core, sel, 2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Write(t.Context(), newMemFile(800), core, sel, Meta{}, Options{Codec: codec.None, Workers: 1, Split: &parts[1]})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %v", err)
	}
	core.bad = map[uint64]error{40700: errors.New("bad memory"), 40701: errors.New("bad memory")}
	out := newMemFile(-1)
	st, err := Write(t.Context(), out, core, sel, Meta{}, Options{Codec: codec.Zlib, Workers: 1, Split: &parts[1]})
	if err != nil || st.Unreadable != 2 {
		t.Fatalf("%v, %+v", err, st)
	}
	k := reopen(t, out)
	own := sel.Keep.Clone()
	own.RemoveRange(0, parts[1].Start)
	own.RemoveRange(40700, 40702)
	sameAs(t, k, core, own, true)
}

func TestSplitSet(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, early)
	parts, err := Splits(core, sel, 3)
	if err != nil {
		t.Fatal(err)
	}
	var files []vmcore.Kdump
	for _, p := range parts {
		out := newMemFile(-1)
		if _, err := Write(t.Context(), out, core, sel, Meta{}, Options{Codec: codec.LZO, Split: &p}); err != nil {
			t.Fatal(err)
		}
		files = append([]vmcore.Kdump{reopen(t, out)}, files...)
	}
	set, err := vmcore.NewSet(files)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	out := newMemFile(-1)
	st, err := Write(t.Context(), out, set, core.selection(nil, nil), Meta{}, Options{Codec: codec.Zstd})
	if err != nil || st.Stored != sel.Keep.Len() {
		t.Fatalf("%v, %d pages of %d", err, st.Stored, sel.Keep.Len())
	}
	k := reopen(t, out)
	sameAs(t, k, core, sel.Keep, true)
	if k.Header().Split != 0 {
		t.Error("what was put together says that it is split")
	}

	whole := newMemFile(-1)
	if _, err := Write(t.Context(), whole, core, sel, Meta{}, Options{}); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]vmcore.Kdump{
		"none":          nil,
		"first missing": {files[0], files[1]},
		"last missing":  {files[1], files[2]},
		"one missing":   {files[0], files[2]},
		"one twice":     {files[0], files[1], files[1], files[2]},
		"no set":        {reopen(t, whole)},
	} {
		if _, err := vmcore.NewSet(bad); !errors.Is(err, vmcore.ErrSet) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
