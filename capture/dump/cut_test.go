package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// A disk that is full after every number of blocks gives an error, or a dump
// that opens and is right in every page it has.
func TestFullDisk(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		for _, workers := range []int{1, 3} {
			t.Run(fmt.Sprintf("fresh=%v/%d", fresh, workers), func(t *testing.T) { fullDisk(t, newFakeCore(4096), fresh, workers) })
		}
	}
	core := newFakeCore(4096)
	core.alike = 301 // what is cut off is what others share
	t.Run("alike", func(t *testing.T) { fullDisk(t, core, false, 1) })
}

func fullDisk(t *testing.T, core *fakeCore, fresh bool, workers int) {
	core.image = []vmcore.Range{{Start: 40100 * 4096, End: 40150 * 4096}}
	inImage := func(pfn uint64) bool { return pfn >= 40100 && pfn < 40150 }
	sel := core.selection(func(pfn uint64) bool { return some(pfn) || inImage(pfn) },
		func(pfn uint64) bool { return early(pfn) || inImage(pfn) })
	whole := newMemFile(-1)
	if _, err := Write(t.Context(), whole, core, sel, Meta{}, Options{Codec: codec.Snappy, Workers: workers}); err != nil {
		t.Fatal(err)
	}
	all := len(whole.data)/diskBlock + 1
	l, _ := LayoutOf(core, sel.Keep)
	var usable, last uint64
	var rooms []int
	for room := 0; room <= all; room += 1 + room/20 {
		rooms = append(rooms, room)
	}
	for _, room := range append(rooms, all, all+1) {
		f := newMemFile(room)
		f.fresh = fresh
		st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.Snappy, Workers: workers})
		if err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("room for %d of %d blocks: %v", room, all, err)
			}
			var e *NoRoomError
			if need := l.Data/diskBlock + 1; int64(room) < need-1 && (!errors.As(err, &e) || e.Need != l.Data || e.Free != int64(room*diskBlock)) {
				t.Fatalf("room for %d of %d blocks: %v", room, need, err)
			}
			if bytes.HasPrefix(f.data, []byte("KDUMP")) {
				t.Fatalf("room for %d of %d blocks: an error, but the file is signed", room, all)
			}
			continue
		}
		k := reopen(t, f)
		usable++
		n := sameAs(t, k, core, sel.Keep, !st.Partial)
		addsUp(t, st, sel, k, f)
		if st.Partial && !errors.Is(st.Cause, syscall.ENOSPC) {
			t.Fatalf("cause is %v", st.Cause)
		}
		if st.Rest.Bytes > 0 && workers == 1 && st.First.Stored != st.First.Pages {
			t.Fatalf("room for %d blocks: %+v before %+v", room, st.Rest, st.First)
		}
		if !fresh && workers == 1 {
			if image := k.Stored().LenRange(40100, 40150); image < 50 && st.First.Stored > image {
				t.Fatalf("room for %d blocks: %d pages of the image of %d pages that come first", room, image, st.First.Stored)
			}
			if left := int64(room*diskBlock) - st.Bytes; st.Partial && left >= 4096 {
				t.Fatalf("room for %d blocks: %d bytes are not used", room, left)
			}
		}
		c, err := Verify(t.Context(), k, VerifyOptions{Every: 1})
		if err != nil || c.Zero != st.Zero || c.Raw != st.Raw || c.Compressed != st.Compressed || c.Incomplete != st.Partial {
			t.Fatalf("Verify: %+v, %v; written %+v", c, err, st)
		}
		last = n
	}
	if usable < 20 || last != sel.Keep.Len() {
		t.Errorf("%d usable dumps, the last with %d of %d pages", usable, last, sel.Keep.Len())
	}
}

// The context ends before, at some read in the middle, or at the last one.
func TestContextEnds(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, early)
	var reads int64
	count := *core
	n := new(atomic.Int64)
	count.reads = func() { n.Add(1) }
	if _, err := Write(t.Context(), newMemFile(-1), &count, sel, Meta{}, Options{}); err != nil {
		t.Fatal(err)
	}
	reads = n.Load()
	why := errors.New("deadline of the plan")
	partial := 0
	for _, workers := range []int{1, 4} {
		for at := int64(0); at <= reads+5; at += 1 + reads/25 {
			ctx, cancel := context.WithCancelCause(t.Context())
			var n atomic.Int64
			c := *core
			c.reads = func() {
				if n.Add(1) == at {
					cancel(why)
				}
			}
			if at == 0 {
				cancel(why)
			}
			f := newMemFile(-1)
			st, err := Write(ctx, f, &c, sel, Meta{}, Options{Codec: codec.LZO, Workers: workers})
			cancel(nil)
			if at == 0 {
				if !errors.Is(err, ErrNothing) || !errors.Is(err, why) || bytes.HasPrefix(f.data, []byte("KDUMP")) {
					t.Fatalf("ended before: %v", err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("ended at read %d: %v", at, err)
			}
			if st.Partial {
				partial++
				if !errors.Is(st.Cause, why) {
					t.Fatalf("cause is %v", st.Cause)
				}
			}
			k := reopen(t, f)
			sameAs(t, k, core, sel.Keep, !st.Partial)
			addsUp(t, st, sel, k, f)
		}
	}
	if partial < 20 {
		t.Errorf("only %d dumps were partial", partial)
	}
}

// An output that fails for another reason than room is cut short as well.
func TestOutputFails(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, nil)
	l, _ := LayoutOf(core, sel.Keep)
	f := newMemFile(-1)
	f.failAt = func(off int64) error { return when(off > l.Data+1<<20, syscall.EIO) }
	st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.None, Workers: 2})
	if err != nil || !st.Partial || !errors.Is(st.Cause, syscall.EIO) {
		t.Fatalf("%+v, %v", st, err)
	}
	k := reopen(t, f)
	sameAs(t, k, core, sel.Keep, false)
	addsUp(t, st, sel, k, f)

	f = newMemFile(-1) // nothing can be written
	f.failAt = func(int64) error { return syscall.EROFS }
	if _, err := Write(t.Context(), f, core, sel, Meta{}, Options{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("read-only: %v", err)
	}

	f = newMemFile(-1) // the write back lost something
	f.syncErr = syscall.EIO
	if _, err := Write(t.Context(), f, core, sel, Meta{}, Options{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("lost write back: %v", err)
	}
}

// A panic in a worker costs what is not yet written, not the process.
func TestWorkerPanics(t *testing.T) {
	for _, workers := range []int{1, 3} {
		core, f := newFakeCore(4096), newMemFile(-1)
		sel := core.selection(some, nil)
		c := *core
		var n atomic.Int64
		c.reads = func() {
			if n.Add(1) == 60 {
				panic("synthetic")
			}
		}
		st, err := Write(t.Context(), f, &c, sel, Meta{}, Options{Workers: workers})
		if err != nil || !st.Partial || !strings.Contains(st.Cause.Error(), "synthetic") {
			t.Fatalf("%d workers: %+v, %v", workers, st, err)
		}
		k := reopen(t, f)
		sameAs(t, k, core, sel.Keep, false)
		addsUp(t, st, sel, k, f)
	}
}
