package dump

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/flat"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// flatten writes core as a flattened stream to b.
func flatten(t *testing.T, ctx context.Context, b *bytes.Buffer, core *fakeCore) *Stats {
	t.Helper()
	f, err := NewFlat(b)
	if err != nil {
		t.Fatal(err)
	}
	st, err := Write(ctx, f, core, core.selection(some, early), Meta{}, Options{Codec: codec.Zstd, Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f.Written() != int64(b.Len()) {
		t.Errorf("Written = %d of %d bytes", f.Written(), b.Len())
	}
	return st
}

func TestFlatIsTheFile(t *testing.T) {
	core := newFakeCore(4096)
	var b bytes.Buffer
	st := flatten(t, t.Context(), &b, core)
	records(t, b.Bytes(), st.Bytes)
	if st.Partial || st.LeftOut != 0 || st.Stored != st.Pages {
		t.Errorf("%+v", st)
	}

	// Read in place, as crash does.
	in, err := vmcore.Open(vmcore.NewFile(bytes.NewReader(b.Bytes()), int64(b.Len())))
	if err != nil {
		t.Fatal(err)
	}
	sel := core.selection(some, early)
	if n := sameAs(t, in.(vmcore.Kdump), core, sel.Keep, true); n != st.Stored {
		t.Errorf("%d pages in the stream, %d stored", n, st.Stored)
	}

	// Made a file, as makedumpfile -R does.
	out := newMemFile(-1)
	u, err := Unflatten(&b, out)
	if err != nil {
		t.Fatal(err)
	}
	if u.Size != st.Bytes || int64(len(out.data)) != st.Bytes {
		t.Errorf("a file of %d bytes, the dump says %d", u.Size, st.Bytes)
	}
	k := reopen(t, out)
	sameAs(t, k, core, sel.Keep, true)
	if k.Header().Status&kdumpfmt.FlagIncomplete != 0 {
		t.Error("a whole dump is marked incomplete")
	}
}

// records checks that each byte up to end is in exactly one record of the stream:
// crash takes others for lost, and the first of two for the one that counts.
func records(t *testing.T, b []byte, end int64) {
	t.Helper()
	type span struct{ off, end int64 }
	var all []span
	for b = b[flat.HeaderSize:]; ; {
		off, n := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
		if off < 0 {
			break
		}
		all = append(all, span{off, off + n})
		b = b[flat.RecordSize+n:]
	}
	slices.SortFunc(all, func(a, b span) int { return int(a.off - b.off) })
	at := int64(0)
	for _, s := range all {
		if s.off != at {
			t.Fatalf("a record at %#x follows one that ends at %#x", s.off, at)
		}
		at = s.end
	}
	if at != end {
		t.Errorf("records end at %#x, the dump at %#x", at, end)
	}
}

// A stream cannot be rewritten: what is missing has empty descriptors, and the
// header says that it is incomplete.
func TestFlatCutShort(t *testing.T) {
	core := newFakeCore(4096)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time")
	n := 0
	core.reads = func() {
		if n++; n == 150 {
			cancel(why)
		}
	}
	var b bytes.Buffer
	f, err := NewFlat(&b)
	if err != nil {
		t.Fatal(err)
	}
	sel := core.selection(some, early)
	st, err := Write(ctx, f, core, sel, Meta{}, Options{Codec: codec.Zlib, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !st.Partial || !errors.Is(st.Cause, why) || st.Stored == 0 || st.Stored+st.LeftOut != st.Pages {
		t.Fatalf("%+v", st)
	}
	core.reads = nil
	out := newMemFile(-1)
	if _, err := Unflatten(&b, out); err != nil {
		t.Fatal(err)
	}
	k := reopen(t, out)
	if k.Header().Status&kdumpfmt.FlagIncomplete == 0 {
		t.Error("not marked incomplete")
	}
	if got := readable(t, k, core); got != st.Stored {
		t.Errorf("%d pages can be read, %d were stored", got, st.Stored)
	}
}

func TestFlatUnreadablePages(t *testing.T) {
	core := newFakeCore(4096)
	core.bad = map[uint64]error{40300: errors.New("bad memory"), 17: errors.New("bad memory")}
	var b bytes.Buffer
	st := flatten(t, t.Context(), &b, core)
	if st.Unreadable == 0 || st.Partial {
		t.Fatalf("%+v", st)
	}
	out := newMemFile(-1)
	if _, err := Unflatten(&b, out); err != nil {
		t.Fatal(err)
	}
	k := reopen(t, out)
	if k.Header().Status&kdumpfmt.FlagIncomplete == 0 {
		t.Error("pages are missing, but it is not marked incomplete")
	}
	if got := readable(t, k, core); got != st.Stored {
		t.Errorf("%d pages can be read, %d were stored", got, st.Stored)
	}
}

// readable counts the pages that can be read; they must be the core's, and the
// others must be said to be missing.
func readable(t *testing.T, k vmcore.Kdump, core *fakeCore) uint64 {
	t.Helper()
	r, err := k.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var n uint64
	got, want := make([]byte, core.size), make([]byte, core.size)
	for pfn, ok := k.Stored().Next(0); ok; pfn, ok = k.Stored().Next(pfn + 1) {
		err := r.ReadPhys(got, pfn*core.size)
		if errors.Is(err, vmcore.ErrNoPage) {
			continue
		}
		core.page(want, pfn)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("pfn %#x: %v, or not what the core has", pfn, err)
		}
		n++
	}
	return n
}

// failingWriter is a pipe whose reader goes away after n bytes.
type failingWriter struct{ n int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestFlatReaderGoesAway(t *testing.T) {
	core := newFakeCore(4096)
	for _, n := range []int{0, 5000, 20000, 200000, 1 << 20} {
		f, err := NewFlat(&failingWriter{n})
		if err == nil {
			_, err = Write(t.Context(), f, core, core.selection(some, early), Meta{}, Options{Codec: codec.Zlib, Workers: 2})
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if err := f.Close(); err == nil {
			t.Errorf("after %d bytes: the stream got an end mark", n)
		}
	}
	f, err := NewFlat(io.Discard)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1}, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a record after the end mark: %v", err)
	}
}
