package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/gokdump/gokdump/capture/vmcore/flat"
)

// rec is one record; a nil data is the end mark.
type rec struct {
	off  int64
	data []byte
}

func stream(recs ...rec) []byte {
	b := make([]byte, flat.HeaderSize)
	copy(b, flat.Magic)
	binary.BigEndian.PutUint64(b[16:], flat.Type)
	binary.BigEndian.PutUint64(b[24:], flat.Version)
	for _, r := range recs {
		n := int64(len(r.data))
		if r.data == nil {
			r.off, n = -1, -1
		}
		b = binary.BigEndian.AppendUint64(b, uint64(r.off))
		b = binary.BigEndian.AppendUint64(b, uint64(n))
		b = append(b, r.data...)
	}
	return b
}

var end = rec{}

func fill(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }

func TestUnflatten(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     []byte
		want   []byte
		blocks int // of 512 bytes that were written
	}{
		{"empty", stream(end), nil, 0},
		{"backwards", stream(rec{4, []byte("efgh")}, rec{0, []byte("abcd")}, end), []byte("abcdefgh"), 1},
		{"the last one counts", stream(rec{0, fill('x', 9000)}, rec{100, fill(0, 8900)}, end), append(fill('x', 100), fill(0, 8900)...), 18},
		{"gap", stream(rec{3, []byte("a")}, rec{10, []byte("b")}, end), []byte("\x00\x00\x00a\x00\x00\x00\x00\x00\x00b"), 1},
		{"zeros are holes", stream(rec{0, append(append(fill(1, 4096), fill(0, 5*4096)...), fill(2, 100)...)}, end),
			append(append(fill(1, 4096), fill(0, 5*4096)...), fill(2, 100)...), 9},
		{"zeros at the end", stream(rec{0, []byte("a")}, rec{4096, fill(0, 8192)}, end), append([]byte("a"), fill(0, 3*4096-1)...), 1},
		{"more than a buffer", stream(rec{7, fill('z', 3<<20)}, end), append(make([]byte, 7), fill('z', 3<<20)...), 3<<20/512 + 1},
		{"what follows is not looked at", append(stream(rec{0, []byte("a")}, end), "junk"...), []byte("a"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := newMemFile(-1)
			out.data = []byte("old")
			u, err := Unflatten(bytes.NewReader(tt.in), out)
			if err != nil || !bytes.Equal(out.data, tt.want) || u.Size != int64(len(tt.want)) {
				t.Fatalf("%v, %d bytes, want %d: %.20q", err, len(out.data), len(tt.want), out.data)
			}
			if len(out.have) != tt.blocks {
				t.Errorf("%d blocks are on the disk, want %d", len(out.have), tt.blocks)
			}
		})
	}
}

func TestUnflattenBadStreams(t *testing.T) {
	head := func(off, n int64) []byte {
		b := stream()
		b = binary.BigEndian.AppendUint64(b, uint64(off))
		return append(binary.BigEndian.AppendUint64(b, uint64(n)), "data"...)
	}
	kind := stream(end)
	kind[23] = 9
	for _, tt := range []struct {
		name string
		in   []byte
		is   error
	}{
		{"nothing", nil, io.ErrUnexpectedEOF},
		{"no record", stream(), io.ErrUnexpectedEOF},
		{"half a start block", stream()[:100], io.ErrUnexpectedEOF},
		{"other file", append([]byte("KDUMP   "), make([]byte, 5000)...), ErrFlat},
		{"other short file", []byte("text"), ErrFlat},
		{"other type", kind, ErrFlat},
		{"negative offset", head(-2, 4), ErrFlat},
		{"negative size", head(4, -4), ErrFlat},
		{"empty record", head(4, 0), ErrFlat},
		{"half an end mark", head(-1, 4), ErrFlat},
		{"absurd offset", head(1<<61, 4), ErrFlat},
		{"absurd size", head(0, 1<<62), ErrFlat},
		{"record longer than the stream", head(0, 1<<50), io.ErrUnexpectedEOF},
	} {
		out := newMemFile(-1)
		if u, err := Unflatten(bytes.NewReader(tt.in), out); !errors.Is(err, tt.is) || u == nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.is)
		}
	}
}

// What a stream has before it breaks off is kept.
func TestUnflattenTruncated(t *testing.T) {
	in := stream(rec{0, fill('a', 5000)}, rec{5000, fill('b', 5000)}, end)
	for _, n := range []int{flat.HeaderSize + 16 + 5000, flat.HeaderSize + 16 + 5000 + 16 + 3000, len(in) - 1} {
		out := newMemFile(-1)
		u, err := Unflatten(bytes.NewReader(in[:n]), out)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
		whole := append(fill('a', 5000), fill('b', 5000)...)
		if len(out.data) < 5000 || !bytes.Equal(out.data, whole[:len(out.data)]) || u.Records == 0 {
			t.Errorf("%d bytes: %d are kept, %d records", n, len(out.data), u.Records)
		}
	}
}

func TestUnflattenFullDisk(t *testing.T) {
	out := newMemFile(3)
	_, err := Unflatten(bytes.NewReader(stream(rec{0, fill('a', 1<<20)}, end)), out)
	if !isFull(err) {
		t.Errorf("%v", err)
	}
}

// The file must be the one that reading the stream in place shows.
func FuzzUnflatten(f *testing.F) {
	f.Add(stream(end))
	f.Add(stream(rec{4, []byte("efgh")}, rec{0, []byte("abcdef")}, end))
	f.Add(stream(rec{0, fill('x', 9000)}, rec{100, fill(0, 8900)}, end))
	f.Add(stream(rec{1 << 40, []byte("far")}))
	f.Fuzz(func(t *testing.T, in []byte) {
		in = in[:min(len(in), 1<<20)]
		for at := flat.HeaderSize; at+flat.RecordSize <= len(in); { // only as far as a test's memory goes
			off, n := int64(binary.BigEndian.Uint64(in[at:])), int64(binary.BigEndian.Uint64(in[at+8:]))
			if off > 1<<20 || n > 1<<20 || n < 0 {
				return
			}
			at += flat.RecordSize + int(n)
		}
		out := newMemFile(-1)
		_, err := Unflatten(bytes.NewReader(in), out)
		if err != nil {
			return
		}
		file, err := flat.Open(bytes.NewReader(in), int64(len(in)), false)
		if err != nil {
			if len(out.data) > 0 {
				t.Fatalf("a file of %d bytes, but read in place: %v", len(out.data), err)
			}
			return
		}
		want := make([]byte, file.Length())
		if _, err := file.ReadAt(want, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if !bytes.Equal(out.data, want) {
			t.Fatalf("the file is not what reading in place shows: %d bytes, %d", len(out.data), len(want))
		}
	})
}
