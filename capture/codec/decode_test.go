package codec

import (
	"bytes"
	"errors"
	"testing"

	lzo "github.com/anchore/go-lzo"
)

func TestDecodeHostile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags uint32
		src   string
	}{
		{"zlib empty", FlagZlib, ""},
		{"zlib with dictionary", FlagZlib, "\x78\xbb\x00\x00\x00\x01\x00\x00\x00"},
		{"zlib wrong header", FlagZlib, "\x78\x02\x03\x00\x00\x00\x00\x01"},
		{"lzo no stream", FlagLZO, "\x11\x00\x00"},
		{"lzo versioned", FlagLZO, "\x11\x01\x12\x00\x11\x00\x00"},
		{"lzo length without end", FlagLZO, "\x00" + string(make([]byte, 1<<20))},
		{"lzo match before the page", FlagLZO, "\x12a\x5c\x10\x11\x00\x00"},
		{"lzo match beyond the page", FlagLZO, "\x12a\x20" + string(make([]byte, 15)) + "\xff\x00\x00\x11\x00\x00"},
		{"snappy of 4 GiB", FlagSnappy, "\xff\xff\xff\xff\x0f\x00"},
		{"snappy with an s2 repeat", FlagSnappy, "\x80\x20\x00a\x01\x00"},
		{"zstd of 2^62", FlagZstd, "\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x00\x00\x00\x40\x01\x00\x00"},
		{"zstd skippable frame", FlagZstd, "\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"},
	} {
		if err := Decode(make([]byte, 4096), tt.flags, []byte(tt.src)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestDecodeLZOByHand has the instructions that our encoder never writes.
func TestDecodeLZOByHand(t *testing.T) {
	first := bytes.Repeat([]byte("abcdefgh"), 400) // 3200 bytes, so that 2049 back there is something
	src := append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3200 - 18 - 12*255}, first...)
	src = append(src, 0x00|1<<2|1, 0, 'x') // state 4: 3 bytes from 2049+1; one literal
	src = append(src, 0x00|2, 1, 'y', 'z') // state 1: 2 bytes from 4+1; two literals
	src = append(src, 0x11, 0, 0)
	want := append([]byte{}, first...)
	want = append(want, want[3200-2050:3200-2047]...)
	want = append(want, 'x')
	want = append(want, want[len(want)-5:len(want)-3]...)
	want = append(want, 'y', 'z')
	got := make([]byte, len(want))
	if err := Decode(got, FlagLZO, src); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v: %q, want %q", err, got[3200:], want[3200:])
	}
	other := make([]byte, len(want))
	if n, err := lzo.Decompress(src, other); n != len(want) || err != nil || !bytes.Equal(other, want) {
		t.Fatalf("the test's own stream is wrong: %d, %v", n, err)
	}
}
