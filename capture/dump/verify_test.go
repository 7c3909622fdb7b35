package dump

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
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

// A file that is not what was written is found without decoding a page, if what
// differs is bitmaps, descriptors or a page that came first.
func TestVerifyWritten(t *testing.T) {
	core, f := newFakeCore(4096), newMemFile(-1)
	core.alike = 1001
	sel := core.selection(some, early)
	st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.LZO, Workers: 2})
	if err != nil || st.Written == nil {
		t.Fatalf("%+v, %v", st, err)
	}
	whole := bytes.Clone(f.data)
	l, err := LayoutOf(core, sel.Keep)
	if err != nil {
		t.Fatal(err)
	}
	opt := VerifyOptions{Must: sel.First, MustEvery: 1 << 40, Written: st.Written}
	c, err := Verify(t.Context(), reopen(t, f), opt)
	if err != nil || c.Compared+c.Decoded != sel.First.Len() || c.Decoded > 1 {
		t.Fatalf("as written: %+v, %v; %d pages come first", c, err, sel.First.Len())
	}
	var desc [2]kdumpfmt.Desc // of the first page that comes first and is compressed, and of the next
	n := 0
	for slot := range sel.Keep.Len() {
		d := kdumpfmt.ParseDesc(whole[l.Desc+int64(slot)*kdumpfmt.DescSize:])
		if d.Flags != 0 && n < 2 && d.Offset < l.Data+int64(st.First.Bytes) {
			desc[n], n = d, n+1
		}
	}
	for _, tt := range []struct {
		name   string
		change func(b []byte)
		want   string
	}{
		{"a bit of a page", func(b []byte) { b[desc[0].Offset+int64(desc[0].Size)/2] ^= 4 }, "of pages at"},
		{"a bit of the zero page", func(b []byte) { b[l.Zero+99] ^= 1 }, "of pages at"},
		{"two descriptors, each for the other", func(b []byte) {
			i, j := bytes.Index(b[l.Desc:], raw(desc[0])), bytes.Index(b[l.Desc:], raw(desc[1]))
			copy(b[l.Desc+int64(i):], raw(desc[1]))
			copy(b[l.Desc+int64(j):], raw(desc[0]))
		}, "descriptors are not"},
		{"another page in bitmap 2", func(b []byte) {
			in, _ := sel.Keep.Next(0)
			out, _ := sel.Keep.NextAbsent(in)
			b[l.Bitmap2+int64(in/8)] ^= 1 << (in % 8)
			b[l.Bitmap2+int64(out/8)] ^= 1 << (out % 8)
		}, "bitmap 2 is not"},
	} {
		copy(f.data, whole)
		tt.change(f.data)
		_, err := Verify(t.Context(), reopen(t, f), opt)
		if !errors.Is(err, ErrUnsound) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	copy(f.data, whole)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, reopen(t, f), opt); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnsound) {
		t.Errorf("no time: %v", err)
	}
	f.data = f.data[:len(f.data)-100] // what it was written to, after the file was opened
	if st, err := Write(t.Context(), newMemFile(700), core, sel, Meta{}, Options{}); err != nil || !st.Partial || st.Written != nil {
		t.Errorf("cut short: %+v, %v", st, err)
	}
}

func raw(d kdumpfmt.Desc) []byte {
	b := make([]byte, kdumpfmt.DescSize)
	d.Put(b)
	return b
}

// shaky is a dump whose pages make their decoder panic, but for the first reader of
// it, which the caller has.
type shaky struct {
	vmcore.Kdump
	readers *atomic.Int64
}

func (s shaky) NewReader() (vmcore.Reader, error) {
	r, err := s.Kdump.NewReader()
	if s.readers.Add(1) > 1 {
		return shakyReader{r}, err
	}
	return r, err
}

type shakyReader struct{ vmcore.Reader }

func (shakyReader) ReadPhys([]byte, uint64) error { panic("a bug") }

// A panic of a goroutine would end the process, and with it the capture.
func TestVerifyOutlivesPanic(t *testing.T) {
	_, f, _ := writeSome(t)
	_, err := Verify(t.Context(), shaky{reopen(t, f), new(atomic.Int64)}, VerifyOptions{Every: 1, Workers: 2})
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("Verify: %v", err)
	}
}
