package dmesg

import (
	"fmt"
	"strings"
	"testing"
)

// fakeRecords writes the record buffer of 3.5 to 5.9 as the kernel does.
type fakeRecords struct {
	flat
	buf, ends   []byte
	header      int
	first, next int
	live        []int // offsets of the records that are still there, oldest first
	name        string
}

const vaLog, vaVars = 0xffff888005000000, 0xffffffff82100000

func newFakeRecords(size int, caller bool) *fakeRecords {
	r := &fakeRecords{header: 16, name: "printk_log"}
	if caller {
		r.header = 20
	}
	r.ends = r.span(vaVars, 32)
	r.buf = r.span(vaLog, uint64(size))
	r.sync()
	return r
}

func (r *fakeRecords) sync() {
	le.PutUint64(r.ends, vaLog)
	le.PutUint32(r.ends[8:], uint32(len(r.buf)))
	le.PutUint32(r.ends[16:], uint32(r.first))
	le.PutUint32(r.ends[24:], uint32(r.next))
}

func (r *fakeRecords) lines() []string {
	l := []string{
		fmt.Sprintf("SYMBOL(log_buf)=%x", uint64(vaVars)), fmt.Sprintf("SYMBOL(log_buf_len)=%x", uint64(vaVars+8)),
		fmt.Sprintf("SYMBOL(log_first_idx)=%x", uint64(vaVars+16)), fmt.Sprintf("SYMBOL(log_next_idx)=%x", uint64(vaVars+24)),
		fmt.Sprintf("SIZE(%s)=%d", r.name, r.header), fmt.Sprintf("OFFSET(%s.ts_nsec)=0", r.name), fmt.Sprintf("OFFSET(%s.len)=8", r.name),
		fmt.Sprintf("OFFSET(%s.text_len)=10", r.name), fmt.Sprintf("OFFSET(%s.dict_len)=12", r.name),
	}
	if r.header == 20 {
		l = append(l, "OFFSET(printk_log.caller_id)=16")
	}
	return l
}

func (r *fakeRecords) add(text, dict string, level, facility uint8, caller uint32) {
	n := (r.header + len(text) + len(dict) + 3) &^ 3
	if r.next+n+r.header > len(r.buf) {
		r.drop(len(r.buf))
		clear(r.buf[r.next:min(r.next+r.header, len(r.buf))])
		r.next = 0
	}
	r.drop(r.next + n + r.header)
	b := r.buf[r.next:]
	clear(b[:n])
	le.PutUint64(b, uint64(len(r.live)))
	le.PutUint16(b[8:], uint16(n))
	le.PutUint16(b[10:], uint16(len(text)))
	le.PutUint16(b[12:], uint16(len(dict)))
	b[14], b[15] = facility, level<<5
	if r.header == 20 {
		le.PutUint32(b[16:], caller)
	}
	copy(b[r.header:], text+dict)
	r.live = append(r.live, r.next)
	r.next += n
	r.first = r.live[0]
	r.sync()
}

// drop gives up the records from next up to offset end.
func (r *fakeRecords) drop(end int) {
	for len(r.live) > 0 && r.live[0] >= r.next && r.live[0] < end {
		r.live = r.live[1:]
	}
}

func TestRecords(t *testing.T) {
	for _, tt := range []struct {
		name    string
		size, n int
		caller  bool
		old     bool
	}{
		{"none", 4096, 0, false, false},
		{"few", 4096, 10, false, false},
		{"gone round", 4096, 500, false, false},
		{"with callers", 4096, 500, true, false},
		{"struct log", 4096, 77, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newFakeRecords(tt.size, tt.caller)
			if tt.old {
				r.name = "log"
			}
			var all []string
			for i := range tt.n {
				all = append(all, fmt.Sprintf("%d %s", i, strings.Repeat("t", i%31)))
				r.add(all[i], "SUBSYSTEM=pci"[:i%13], uint8(i%8), uint8(i%24), uint32(i+1))
			}
			l, err := read(parse(t, r.lines()...), &r.flat)
			if err != nil {
				t.Fatal(err)
			}
			want := all[len(all)-len(r.live):]
			if got := collect(l); strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("%d records %q\nwant %d %q", len(got), got, len(want), want)
			}
			if l.Warnings != nil || l.Callers != tt.caller || l.Layout != "records" {
				t.Errorf("%+v", l)
			}
			i := len(all) - len(want)
			for rec := range l.Records() {
				if rec.Level != uint8(i%8) || rec.Facility != uint8(i%24) || tt.caller && rec.Caller != uint32(i+1) {
					t.Fatalf("record %d: %+v", i, rec)
				}
				i++
			}
		})
	}
}

func TestRecordsDamage(t *testing.T) {
	for _, tt := range []struct {
		name, want, warn string
		hurt             func(r *fakeRecords)
	}{
		{"length zero inside", "0123567", "torn", func(r *fakeRecords) { le.PutUint16(r.buf[r.live[4]+8:], 0) }},
		{"length too short", "0123567", "torn", func(r *fakeRecords) { le.PutUint16(r.buf[r.live[4]+8:], 4) }},
		{"length too long", "0123567", "torn", func(r *fakeRecords) { le.PutUint16(r.buf[r.live[4]+8:], 0xfffc) }},
		{"text longer than the record", "0123567", "torn", func(r *fakeRecords) { le.PutUint16(r.buf[r.live[4]+10:], 999) }},
		{"scribbled", "01237", "torn", func(r *fakeRecords) {
			for i := range r.buf[r.live[4]:r.live[7]] {
				r.buf[r.live[4]+i] = 0xcc
			}
		}},
		{"first outside", "01234567", "ends", func(r *fakeRecords) { r.first = 1 << 20; r.sync() }},
		{"next outside", "01234567", "ends", func(r *fakeRecords) { r.next = 1 << 20; r.sync() }},
		{"next on first", "", "", func(r *fakeRecords) { r.next = r.first; r.sync() }},
		{"all gone", "", "torn", func(r *fakeRecords) { r.holes = append(r.holes, [2]uint64{vaLog, vaLog + 4096}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newFakeRecords(4096, false)
			for i := range 8 {
				r.add(fmt.Sprintf("%d and more of the text", i), "", 6, 0, 0)
			}
			tt.hurt(r)
			l, err := read(parse(t, r.lines()...), &r.flat)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for _, s := range collect(l) {
				got += s[:1]
			}
			all := strings.Join(l.Warnings, "\n")
			if got != tt.want || tt.warn == "" && all != "" || !strings.Contains(all, tt.warn) {
				t.Errorf("records %q, warnings %q; want %q, %q", got, all, tt.want, tt.warn)
			}
		})
	}
}

func TestRecordsHead(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		hurt       func(r *fakeRecords) []string
	}{
		{"no size", "SIZE(log)", func(r *fakeRecords) []string { return cut(r.lines(), "SIZE(printk_log)") }},
		{"log of 0 bytes", "with 0 bytes", func(r *fakeRecords) []string { le.PutUint32(r.ends[8:], 0); return r.lines() }},
		{"log of 4 GiB", "4294967295 bytes", func(r *fakeRecords) []string { le.PutUint32(r.ends[8:], ^uint32(0)); return r.lines() }},
		{"no variables", "read the pointer log_buf", func(r *fakeRecords) []string {
			r.holes = append(r.holes, [2]uint64{vaVars, vaVars + 8})
			return r.lines()
		}},
		{"header larger than the log", "not sound", func(r *fakeRecords) []string { le.PutUint32(r.ends[8:], 8); return r.lines() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newFakeRecords(4096, false)
			if _, err := read(parse(t, tt.hurt(r)...), &r.flat); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func fakeByteRing(size int, text string) (*flat, []string) {
	f := &flat{}
	v := f.span(vaVars, 32)
	b := f.span(vaLog, uint64(size))
	le.PutUint64(v, vaLog)
	le.PutUint32(v[8:], uint32(size))
	le.PutUint32(v[16:], uint32(len(text)))
	for i, c := range []byte(text) {
		b[i%size] = c
	}
	return f, []string{fmt.Sprintf("SYMBOL(log_buf)=%x", uint64(vaVars)), fmt.Sprintf("SYMBOL(log_buf_len)=%x", uint64(vaVars+8)),
		fmt.Sprintf("SYMBOL(log_end)=%x", uint64(vaVars+16))}
}

func TestByteRing(t *testing.T) {
	const text = "<6>[    1.500000] one\n<28>plain\nno level\n\n<5>[123456.000001] last"
	for _, tt := range []struct {
		name string
		size int
		text string
		want string
	}{
		{"all there", 4096, text, "[    1.500000] one\nplain\nno level\n\n[123456.000001] last\n"},
		{"gone round", 80, strings.Repeat("<6>lost\n", 20) + text, "6>lost\nlost\n[    1.500000] one\nplain\nno level\n\n[123456.000001] last\n"},
		{"empty", 64, "", ""},
		{"no such time", 256, "<6>[  1.5] x\n<9999>y\n[99999999999999999999.000000] z\n", "[  1.5] x\n<9999>y\n[99999999999999999999.000000] z\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, lines := fakeByteRing(tt.size, tt.text)
			l, err := read(parse(t, lines...), f)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := l.WriteText(&out); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestByteRingLevels(t *testing.T) {
	f, lines := fakeByteRing(256, "<6>a\n<28>b\nc\n")
	l, err := read(parse(t, lines...), f)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := range l.Records() {
		got = append(got, fmt.Sprint(r.HasLevel, r.Facility, r.Level, r.Timed))
	}
	if want := "true 0 6 false,true 3 4 false,false 0 0 false"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
