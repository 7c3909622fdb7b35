package flat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// rec is a record that tests write: data at off.
type rec struct {
	off  int64
	data string
}

// build makes a flattened file, with an end mark or without.
func build(end bool, recs ...rec) []byte {
	b := make([]byte, HeaderSize)
	copy(b, Magic)
	binary.BigEndian.PutUint64(b[16:], Type)
	binary.BigEndian.PutUint64(b[24:], Version)
	for _, r := range recs {
		b = header(b, r.off, int64(len(r.data)))
		b = append(b, r.data...)
	}
	if end {
		b = header(b, EndMark, EndMark)
	}
	return b
}

func header(b []byte, off, size int64) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(off))
	return binary.BigEndian.AppendUint64(b, uint64(size))
}

// plain carries records out, as `makedumpfile -R` does.
func plain(recs ...rec) []byte {
	var b []byte
	for _, r := range recs {
		if n := r.off + int64(len(r.data)) - int64(len(b)); n > 0 && len(r.data) > 0 {
			b = append(b, make([]byte, n)...)
		}
		copy(b[min(r.off, int64(len(b))):], r.data)
	}
	return b
}

func open(t *testing.T, b []byte, salvage bool) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(b), int64(len(b)), salvage)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// check reads the file at once and in pieces of several sizes.
func check(t *testing.T, f *File, want []byte) {
	t.Helper()
	if size, err := f.Size(); err != nil || size != int64(len(want)) || f.Length() != size {
		t.Fatalf("size %d, %v, want %d", size, err, len(want))
	}
	for _, n := range []int{1, 3, 7, 16, len(want)} {
		var got []byte
		p := make([]byte, n)
		for len(got) < len(want) {
			k, err := f.ReadAt(p, int64(len(got)))
			got = append(got, p[:k]...)
			if err != nil && (err != io.EOF || len(got) != len(want)) {
				t.Fatalf("read %d bytes at %d: %v", n, len(got), err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("in pieces of %d: %q, want %q", n, got, want)
		}
	}
	if n, err := f.ReadAt(make([]byte, 1), int64(len(want))); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
}

func TestReadsWhatRecordsWrite(t *testing.T) {
	for name, recs := range map[string][]rec{
		"one":               {{0, "hello"}},
		"in order":          {{0, "aaaa"}, {4, "bbbb"}, {8, "cccc"}, {12, "dd"}},
		"backwards":         {{8, "cccc"}, {4, "bbbb"}, {0, "aaaa"}},
		"two streams":       {{0, "dd"}, {100, "xxxxxxxx"}, {2, "ee"}, {108, "yyyyyyyy"}, {4, "ff"}, {116, "z"}},
		"hole":              {{5, "abc"}, {20, "def"}},
		"same place again":  {{0, "aaaaaa"}, {0, "bbbbbb"}},
		"inside":            {{0, "aaaaaaaaaa"}, {3, "bb"}},
		"around":            {{3, "bb"}, {0, "aaaaaaaaaa"}},
		"across":            {{0, "aaaa"}, {4, "bbbb"}, {8, "cccc"}, {2, "XXXXXXXX"}},
		"across one":        {{0, "aaaa"}, {4, "bbbb"}, {8, "cccc"}, {12, "dddd"}, {3, "XY"}, {15, "Z"}},
		"middle of a run":   {{0, "aa"}, {2, "bb"}, {4, "cc"}, {6, "dd"}, {5, "X"}, {0, "Y"}},
		"empty record":      {{0, "aa"}, {7, ""}, {2, "bb"}},
		"three deep":        {{0, "aaaaaaaaaa"}, {1, "bbbbbbbb"}, {2, "cccccc"}, {4, "d"}},
		"ends below others": {{0, "aaaaaaaaaa"}, {2, "bbb"}, {4, "cccc"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, build(true, recs...), false)
			check(t, f, plain(recs...))
			if f.Broken() != nil || f.Records() != uint64(len(recs)) {
				t.Errorf("broken: %v; %d records, want %d", f.Broken(), f.Records(), len(recs))
			}
		})
	}
}

// Any records give what writing them in order gives.
func TestAnyRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var recs []rec
		for i := range 1 + r.IntN(20) {
			recs = append(recs, rec{int64(r.IntN(60)), strings.Repeat(string(rune('a'+i)), r.IntN(4)*5)})
		}
		want := plain(recs...)
		if len(want) == 0 {
			continue
		}
		check(t, open(t, build(true, recs...), false), want)
	}
}

// Equal records that follow each other take one entry, however many they are.
func TestRunsAreMerged(t *testing.T) {
	var recs []rec
	for i := range 1000 {
		recs = append(recs, rec{int64(i) * 8, "12345678"})
	}
	f := open(t, build(true, recs...), false)
	if len(f.runs) != 1 {
		t.Errorf("%d runs, want 1", len(f.runs))
	}
	check(t, f, plain(recs...))
}

func TestTruncated(t *testing.T) {
	recs := []rec{{0, "aaaaaaaa"}, {8, "bbbbbbbb"}, {32, "cccccccc"}}
	whole := build(true, recs...)
	for cut := HeaderSize; cut < len(whole); cut++ {
		b := whole[:cut]
		if _, err := Open(bytes.NewReader(b), int64(cut), false); !errors.Is(err, ErrTruncated) {
			t.Fatalf("%d of %d bytes: %v", cut, len(whole), err)
		}
		f, err := Open(bytes.NewReader(b), int64(cut), true)
		if cut <= HeaderSize+RecordSize {
			if !errors.Is(err, ErrTruncated) {
				t.Fatalf("salvaged nothing, error %v", err)
			}
			continue
		}
		if err != nil || !errors.Is(f.Broken(), ErrTruncated) {
			t.Fatalf("salvage %d bytes: %v", cut, err)
		}
		have := cut - HeaderSize - RecordSize // of the first record
		if want := min(have, 8); !f.Written(0, int64(want)) || f.Written(0, int64(want)+1) && have < 8 {
			t.Fatalf("%d bytes: first %d bytes: wrong idea of what is written", cut, want)
		}
		if all := cut >= HeaderSize+3*(RecordSize+8); f.Written(32, 8) != all {
			t.Fatalf("%d bytes: last record written: %v", cut, !all)
		}
	}
	f := open(t, whole, true)
	for _, c := range []struct {
		off, n int64
		want   bool
	}{{0, 16, true}, {0, 17, false}, {15, 1, true}, {16, 0, true}, {16, 1, false}, {31, 2, false}, {32, 8, true}, {32, 9, false}, {1 << 40, 1, false}, {-1, 1, false}, {0, 1 << 62, false}} {
		if got := f.Written(c.off, c.n); got != c.want {
			t.Errorf("%d bytes at %d written: %v", c.n, c.off, got)
		}
	}
}

func TestBad(t *testing.T) {
	good := build(true, rec{0, "aaaa"})
	change := func(at int, v string) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":           {nil, ErrFormat},
		"no magic":        {change(0, "x"), ErrFormat},
		"type":            {change(16, "\x01"), ErrFormat},
		"version":         {change(31, "\x02"), ErrFormat},
		"short header":    {good[:100], ErrTruncated},
		"no record":       {build(true), ErrTruncated},
		"negative offset": {change(HeaderSize, "\xff"), ErrFormat},
		"negative size":   {change(HeaderSize+8, "\xff"), ErrFormat},
		"offset too high": {change(HeaderSize, "\x20"), ErrFormat},
		"size too big":    {change(HeaderSize+8, "\x0f"), ErrTruncated},
	} {
		if _, err := Open(bytes.NewReader(tt.b), int64(len(tt.b)), false); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	// What comes before the damage is salvaged.
	b := build(false, rec{0, "good"})
	f := open(t, append(header(b, -5, 7), "junk"...), true)
	check(t, f, []byte("good"))
	if !errors.Is(f.Broken(), ErrFormat) {
		t.Errorf("broken: %v", f.Broken())
	}
}

// failing fails to read at one place.
type failing struct {
	*bytes.Reader
	at int64
}

var errDisk = errors.New("disk on fire")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(p)) {
		return 0, errDisk
	}
	return f.Reader.ReadAt(p, off)
}

func TestReadErrors(t *testing.T) {
	b := build(true, rec{0, "aaaa"}, rec{4, "bbbb"})
	for _, at := range []int64{8, HeaderSize + 3, HeaderSize + 21} { // a disk that fails is no end of the file
		if _, err := Open(failing{bytes.NewReader(b), at}, int64(len(b)), true); !errors.Is(err, errDisk) {
			t.Errorf("failing at %d: %v", at, err)
		}
	}
	f, err := Open(failing{bytes.NewReader(b), HeaderSize + 2*RecordSize + 4}, int64(len(b)), false)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.ReadAt(make([]byte, 8), 0); n != 4 || !errors.Is(err, errDisk) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("read at -1")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(build(true, rec{0, "aaaa"}, rec{4, "bbbb"}, rec{2, "cc"})[HeaderSize:])
	f.Add(build(false, rec{9, "aaaa"}, rec{4, "bbbb"})[HeaderSize:])
	f.Add(header(build(false, rec{9, "aaaa"}), 1<<59, 1<<40)[HeaderSize:])
	f.Fuzz(func(t *testing.T, records []byte) {
		b := append(build(false), records...)
		strict, err := Open(bytes.NewReader(b), int64(len(b)), false)
		f, serr := Open(bytes.NewReader(b), int64(len(b)), true)
		if err == nil && (serr != nil || f.Broken() != nil || f.Length() != strict.Length()) {
			t.Fatalf("whole, but salvaged: %v", serr)
		}
		if serr != nil {
			return
		}
		var last int64
		for _, r := range f.runs {
			if r.start < last || r.end <= r.start {
				t.Fatalf("run from %d to %d behind %d", r.start, r.end, last)
			}
			last = r.end
			p := make([]byte, min(r.end-r.start, 100))
			if _, err := f.ReadAt(p, r.end-int64(len(p))); err != nil {
				t.Fatalf("read the end of the run from %d to %d: %v", r.start, r.end, err)
			}
			if !f.Written(r.start, r.end-r.start) {
				t.Fatalf("run from %d to %d: not written", r.start, r.end)
			}
		}
	})
}
