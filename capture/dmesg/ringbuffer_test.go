package dmesg

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kernel's own first id: minus the number of descriptors, minus one.
const firstID = ^uint64(0) - 16

func TestRingbuffer(t *testing.T) {
	for _, tt := range []struct {
		name                string
		countBits, sizeBits uint
		infoSize            uint64
		firstPos            uint64
		records, maxLen     int
		exact               bool
	}{
		{"first records", 4, 12, 88, 0, 5, 20, false},
		{"nothing yet", 4, 12, 88, 0, 0, 1, false},
		{"descriptors go round", 4, 16, 88, 0, 100, 20, false},
		{"text goes round", 10, 9, 88, 0, 300, 90, false},
		{"text ends at the end", 10, 9, 88, 0, 300, 90, true},
		{"positions pass 2^64", 6, 9, 88, ^uint64(0) - 511, 300, 60, false},
		{"larger info", 5, 12, 112, 0, 60, 30, false},
		{"one huge record", 4, 17, 88, 0, 3, 65535, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newFakeRing(tt.countBits, tt.sizeBits, tt.infoSize, firstID, tt.firstPos)
			r.exactFit = tt.exact
			var all []string
			for i := range tt.records {
				text := fmt.Sprintf("%d %s", i, strings.Repeat("x", (i*37+tt.maxLen)%(tt.maxLen)))
				if i%7 == 3 {
					text = ""
				}
				if tt.maxLen == 65535 && i == 1 {
					text = strings.Repeat("y", 65535)
				}
				all = append(all, text)
				r.add(text, uint8(i%8), uint8(i%24), 0)
			}
			l, err := read(parse(t, r.lines()...), &r.flat)
			if err != nil {
				t.Fatal(err)
			}
			alive := int((r.head - r.oldest + 1) & descIDMask)
			if diff := cmp.Diff(all[len(all)-alive:], collect(l), cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
				t.Fatal(diff)
			}
			if l.Count != alive || l.Warnings != nil || l.Callers || l.Layout != "printk_ringbuffer" {
				t.Errorf("%+v, want %d records", l, alive)
			}
			i := tt.records - alive
			for rec := range l.Records() {
				if rec.Seq != uint64(i) || rec.TimeNS != uint64(i)*1_000_001_000 || !rec.HasLevel || rec.Level != uint8(i%8) || rec.Facility != uint8(i%24) {
					t.Fatalf("record %d: %+v", i, rec)
				}
				i++
			}
		})
	}
}

// A ring of eight records, hurt in one way each.
func TestRingbufferDamage(t *testing.T) {
	for _, tt := range []struct {
		name string
		hurt func(r *fakeRing, ids []uint64)
		want string // digits of the records that are left
		warn string
	}{
		{"sound", func(*fakeRing, []uint64) {}, "01234567", ""},
		{"reserved", func(r *fakeRing, id []uint64) { r.setState(id[2], descReserved) }, "0134567", "still being written"},
		{"committed", func(r *fakeRing, id []uint64) { r.setState(id[2], descCommitted) }, "01234567", ""},
		{"reusable", func(r *fakeRing, id []uint64) { r.setState(id[2], descReusable) }, "0134567", ""},
		{"descriptor of another", func(r *fakeRing, id []uint64) {
			le.PutUint64(r.desc(id[3]), descFinalized<<62|(id[3]+16))
		}, "0124567", "other records"},
		{"block of another", func(r *fakeRing, id []uint64) { copy(r.desc(id[4])[8:], r.desc(id[5])[8:24]) }, "0123567", "overwritten or torn"},
		{"block backwards", func(r *fakeRing, id []uint64) { le.PutUint64(r.desc(id[4])[16:], 0) }, "0123567", "overwritten or torn"},
		{"block of two turns", func(r *fakeRing, id []uint64) { le.PutUint64(r.desc(id[4])[16:], 3<<12) }, "0123567", "overwritten or torn"},
		{"block of the id alone", func(r *fakeRing, id []uint64) {
			d := r.desc(id[0])
			le.PutUint64(d[16:], le.Uint64(d[8:])+8)
		}, "1234567", "overwritten or torn"},
		{"block unaligned", func(r *fakeRing, id []uint64) { le.PutUint64(r.desc(id[4])[8:], 4) }, "0123567", "overwritten or torn"},
		{"no room for the text", func(r *fakeRing, id []uint64) {
			le.PutUint64(r.desc(id[4])[8:], noText)
			le.PutUint64(r.desc(id[4])[16:], noText)
		}, "0123567", "no room"},
		{"text longer than its block", func(r *fakeRing, id []uint64) { le.PutUint16(r.info(id[6])[16:], 60000) }, "01234567", "shorter"},
		{"tail lies", func(r *fakeRing, _ []uint64) { le.PutUint64(r.ring[32:], 77) }, "01234567", "ends of the log"},
		{"head before tail", func(r *fakeRing, id []uint64) {
			le.PutUint64(r.ring[24:], id[5])
			le.PutUint64(r.ring[32:], id[7])
		}, "012345", "ends of the log"},
		{"text gone", func(r *fakeRing, _ []uint64) { r.holes = append(r.holes, [2]uint64{vaText, vaText + 4096}) }, "", "not in the dump"},
		{"descriptors gone", func(r *fakeRing, _ []uint64) { r.holes = append(r.holes, [2]uint64{vaDescs, vaDescs + 4096}) }, "", "not in the dump"},
		{"infos gone", func(r *fakeRing, _ []uint64) { r.holes = append(r.holes, [2]uint64{vaInfos, vaInfos + 4096}) }, "", "not in the dump"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newFakeRing(4, 12, 88, 99, 0)
			var ids []uint64
			for i := range 8 {
				ids = append(ids, r.add(fmt.Sprintf("%d.", i), 6, 0, 0))
			}
			tt.hurt(r, ids)
			l, err := read(parse(t, r.lines()...), &r.flat)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for _, s := range collect(l) {
				got += s[:1]
			}
			if got != tt.want || l.Count != len(tt.want) {
				t.Errorf("records %q (Count %d), want %q; %q", got, l.Count, tt.want, l.Warnings)
			}
			all := strings.Join(l.Warnings, "\n")
			if tt.warn == "" && all != "" || !strings.Contains(all, tt.warn) {
				t.Errorf("warnings %q, want %q", all, tt.warn)
			}
		})
	}
}

// A hole in the middle of the text costs the records in it, not those around.
func TestRingbufferHole(t *testing.T) {
	r := newFakeRing(10, 14, 88, firstID, 0)
	for i := range 300 {
		r.add(fmt.Sprintf("%03d %s", i, strings.Repeat("z", 20)), 6, 0, 0)
	}
	r.holes = append(r.holes, [2]uint64{vaText + 4096, vaText + 8192})
	l, err := read(parse(t, r.lines()...), &r.flat)
	if err != nil {
		t.Fatal(err)
	}
	texts := collect(l)
	// 32 bytes each: 128 in the page that is missing.
	if len(texts) != 300-128 || texts[127][:3] != "127" || texts[128][:3] != "256" {
		t.Errorf("%d records, around the hole %q", len(texts), texts[126:130])
	}
	if r.reads > 100 {
		t.Errorf("%d reads of memory for 300 records", r.reads)
	}
}

func TestRingbufferHead(t *testing.T) {
	sound := func() *fakeRing { return newFakeRing(4, 12, 88, 99, 0) }
	for _, tt := range []struct {
		name, want string
		lines      func(*fakeRing) []string
	}{
		{"keys missing", "", func(r *fakeRing) []string {
			return cut(cut(r.lines(), "SIZE(printk_info)"), "OFFSET(printk_info.seq)")
		}},
		{"offset outside", "", func(r *fakeRing) []string {
			return append(cut(r.lines(), "OFFSET(prb_desc.state"), "OFFSET(prb_desc.state_var)=20")
		}},
		{"size absurd", "", func(r *fakeRing) []string {
			return append(cut(r.lines(), "SIZE(printk_ringb"), "SIZE(printk_ringbuffer)=99999999999")
		}},
		{"pointer unreadable", "pointer prb", func(r *fakeRing) []string {
			return append(cut(r.lines(), "SYMBOL(prb)"), "SYMBOL(prb)=10")
		}},
		{"pointer wild", "read struct printk_ringbuffer at 0x1234", func(r *fakeRing) []string {
			le.PutUint64(r.spans[0].b, 0x1234)
			return r.lines()
		}},
		{"too many descriptors", "2^25 descriptors", func(r *fakeRing) []string { le.PutUint32(r.ring, 25); return r.lines() }},
		{"too much text", "2^40 bytes", func(r *fakeRing) []string { le.PutUint32(r.ring[40:], 40); return r.lines() }},
		{"infos at null", "infos at 0x0", func(r *fakeRing) []string { le.PutUint64(r.ring[16:], 0); return r.lines() }},
		{"data at the end of memory", "data at 0xffff", func(r *fakeRing) []string {
			le.PutUint64(r.ring[48:], ^uint64(0)-100)
			return r.lines()
		}},
		{"no log", ErrNoLog.Error(), func(r *fakeRing) []string { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sound()
			l, err := read(parse(t, tt.lines(r)...), &r.flat)
			if tt.want == "" { // made up for, and told
				if err != nil || len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "does not fit the log") {
					t.Errorf("%+v, error %v", l, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// The largest ring allowed, none of it readable: ends, with a warning.
func TestRingbufferHuge(t *testing.T) {
	r := newFakeRing(4, 12, 88, 99, 0)
	le.PutUint32(r.ring, maxCountBits)
	le.PutUint32(r.ring[40:], maxSizeBits)
	le.PutUint64(r.ring[8:], 0xffff990000000000)
	le.PutUint64(r.ring[32:], 100)
	le.PutUint64(r.ring[24:], 100+1<<maxCountBits-1)
	l, err := read(parse(t, r.lines()...), &r.flat)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d records left out: their memory", 1<<maxCountBits)
	if l.Count != 0 || !slices.ContainsFunc(l.Warnings, func(s string) bool { return strings.Contains(s, want) }) {
		t.Errorf("%+v", l)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(uint8(0), []byte{})
	f.Add(uint8(0), []byte{1, 0, 0, 0x19, 3, 40, 0, 0xff})
	f.Add(uint8(1), []byte{3, 8, 0, 0, 3, 9, 0, 0})
	f.Add(uint8(2), []byte{2, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, layout uint8, patches []byte) {
		var mem *flat
		var lines []string
		switch layout % 3 {
		case 0:
			r := newFakeRing(5, 10, 88, firstID, 0)
			for i := range 60 {
				r.add(strings.Repeat("a\n\x1b", i%12), 6, 0, uint32(i))
			}
			mem, lines = &r.flat, r.lines()
		case 1:
			r := newFakeRecords(1024, true)
			for i := range 60 {
				r.add(strings.Repeat("b", i%40), "", 6, 0, uint32(i))
			}
			mem, lines = &r.flat, r.lines()
		case 2:
			mem, lines = fakeByteRing(256, strings.Repeat("<6>[    1.500000] text\n", 30))
		}
		for len(patches) >= 4 { // span, offset, value
			b := mem.spans[int(patches[0])%len(mem.spans)].b
			b[int(le.Uint16(patches[1:]))%len(b)] = patches[3]
			patches = patches[4:]
		}
		l, err := read(parse(t, lines...), mem)
		if err != nil {
			return
		}
		n := 0
		for r := range l.Records() {
			if len(r.Text) > maxLine {
				t.Fatalf("text of %d bytes", len(r.Text))
			}
			n++
		}
		if n != l.Count {
			t.Fatalf("%d records, Count %d", n, l.Count)
		}
		if err := l.WriteText(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}
