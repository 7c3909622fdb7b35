package dump

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

func writeSome(t *testing.T) (*fakeCore, *memFile, *Stats) {
	t.Helper()
	core, f := newFakeCore(4096), newMemFile(-1)
	st, err := Write(t.Context(), f, core, core.selection(some, nil), Meta{}, Options{Codec: codec.Zstd})
	if err != nil {
		t.Fatal(err)
	}
	return core, f, st
}

func TestVerifyCounts(t *testing.T) {
	_, f, st := writeSome(t)
	for _, every := range []uint64{0, 1, 10} {
		var last Progress
		c, err := Verify(t.Context(), reopen(t, f), VerifyOptions{Every: every, Workers: 2, Progress: func(p Progress) { last = p }})
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(0)
		if every > 0 {
			want = (st.Stored - st.Zero + 1) / every // one page of zeros
		}
		if c.Pages != st.Stored || c.Zero != st.Zero || c.Raw != st.Raw || c.Compressed != st.Compressed ||
			c.Decoded < want/2 || c.Decoded > want*2 || (every == 1 && c.Decoded != want) || last.Done != c.Decoded || c.Incomplete {
			t.Errorf("every %d: %+v of %+v, progress %+v", every, c, st, last)
		}
	}
}

func TestVerifyFinds(t *testing.T) {
	core, whole, _ := writeSome(t)
	k := reopen(t, whole)
	h := k.Header()
	l, err := LayoutOf(core, k.Stored())
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte, slot uint64, change func(*kdumpfmt.Desc)) {
		at := b[h.DescOffset()+int64(slot)*kdumpfmt.DescSize:]
		d := kdumpfmt.ParseDesc(at)
		change(&d)
		d.Put(at)
	}
	const slot = 42 // of a compressed page
	var pfn, n uint64
	for pfn, _ = k.Stored().Next(0); n < slot; n++ {
		pfn, _ = k.Stored().Next(pfn + 1)
	}
	if pfn%3 != 2 {
		t.Fatalf("slot %d has pfn %d, which is not compressed", slot, pfn)
	}
	must := pfnset.New(1 << 16)
	must.Add(pfn)
	absent := pfnset.New(1 << 16)
	absent.Add(7) // some leaves it out
	absent.Add(1 << 15)

	for _, tt := range []struct {
		name    string
		change  func(b []byte)
		opt     VerifyOptions
		want    string
		bad     uint64
		missing uint64
	}{
		{name: "lost page", change: func(b []byte) { put(b, slot, func(d *kdumpfmt.Desc) { d.Offset = 0 }) }, want: "lost the page", bad: 1},
		{name: "beyond the file", change: func(b []byte) { put(b, slot, func(d *kdumpfmt.Desc) { d.Offset = int64(len(b)) - 5 }) }, want: "in a file of", bad: 1},
		{name: "among descriptors", change: func(b []byte) { put(b, slot, func(d *kdumpfmt.Desc) { d.Offset = l.Desc + 24 }) }, want: "before the end of the descriptors", bad: 1},
		{name: "flags", change: func(b []byte) { put(b, slot, func(d *kdumpfmt.Desc) { d.Flags = 3 }) }, want: "flags 0x3", bad: 1},
		{name: "raw but short", change: func(b []byte) { put(b, slot, func(d *kdumpfmt.Desc) { d.Flags = 0 }) }, want: "flags 0x0", bad: 1},
		{name: "garbage, decoding all", change: func(b []byte) { garble(b, slot, h) }, opt: VerifyOptions{Every: 1}, want: "physical address", bad: 1},
		{name: "garbage in a must", change: func(b []byte) { garble(b, slot, h) }, opt: VerifyOptions{Must: must}, want: "physical address", bad: 1},
		{name: "garbage in a must of the sample", change: func(b []byte) { garble(b, slot, h) }, opt: VerifyOptions{Must: must, MustEvery: slot}, want: "physical address", bad: 1},
		{name: "garbage in a must beside the sample", change: func(b []byte) { garble(b, slot, h) }, opt: VerifyOptions{Must: must, MustEvery: slot - 1}},
		{name: "garbage, cheap", change: func(b []byte) { garble(b, slot, h) }},
		{name: "missing", opt: VerifyOptions{Must: absent}, want: "must be in it", missing: 2},
		{name: "not RAM", change: func(b []byte) { clear(b[h.Bitmap1Offset():][:8]) }, want: "bitmap 1"},
	} {
		b := bytes.Clone(whole.data)
		if tt.change != nil {
			tt.change(b)
		}
		k, err := vmcore.OpenKdump(vmcore.NewFile(bytes.NewReader(b), int64(len(b))))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		c, err := Verify(t.Context(), k, tt.opt)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if !errors.Is(err, ErrUnsound) || !strings.Contains(err.Error(), tt.want) || c.Bad != tt.bad || c.Missing != tt.missing {
			t.Errorf("%s: %d bad, %d missing, %v; want %q", tt.name, c.Bad, c.Missing, err, tt.want)
		}
	}
}

func garble(b []byte, slot int64, h *kdumpfmt.Header) {
	d := kdumpfmt.ParseDesc(b[h.DescOffset()+slot*kdumpfmt.DescSize:])
	for i := range b[d.Offset:][:d.Size] {
		b[d.Offset+int64(i)] ^= 0x5a
	}
}

func TestVerifyEnds(t *testing.T) {
	_, f, _ := writeSome(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time")
	cancel(why)
	if _, err := Verify(ctx, reopen(t, f), VerifyOptions{Every: 1}); !errors.Is(err, why) || errors.Is(err, ErrUnsound) {
		t.Errorf("Verify after the end: %v", err)
	}
}
