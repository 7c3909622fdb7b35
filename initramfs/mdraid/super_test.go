package mdraid

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const size = 1 << 20

// one writes a superblock of version 1, as md_p.h lays it out. What mdadm writes is
// read by the tests in machines.
func one(minor int, role uint16) []byte {
	disk := make([]byte, size)
	off := map[int]int{0: size - 8192, 1: 0, 2: 4096}[minor]
	b := disk[off:]
	le := binary.LittleEndian
	le.PutUint32(b, magic)
	le.PutUint32(b[4:], 1)
	for i := range 16 {
		b[16+i], b[168+i] = byte(i), byte(0xF0+i)
	}
	copy(b[32:], "host:0")
	le.PutUint32(b[72:], 1)
	le.PutUint32(b[92:], 2)
	le.PutUint32(b[160:], 1)
	le.PutUint64(b[200:], 77)
	le.PutUint32(b[220:], 2)
	le.PutUint16(b[258:], role)
	return disk
}

func zero(state uint32) []byte {
	disk := make([]byte, size)
	b := disk[size-reserved:]
	put := func(word int, v uint32) { binary.LittleEndian.PutUint32(b[4*word:], v) }
	put(0, magic)
	put(2, 90)
	put(5, 0x03020100)
	put(7, 1)
	put(10, 2)
	put(13, 0x07060504)
	put(14, 0x0b0a0908)
	put(15, 0x0f0e0d0c)
	put(39, 77)
	put(992, 1)
	put(992+3, 1)
	put(992+4, state)
	return disk
}

func TestRead(t *testing.T) {
	const id, member = "00010203-0405-0607-0809-0a0b0c0d0e0f", "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff"
	for minor := range 3 {
		want := &Super{Major: 1, Minor: minor, UUID: id, Name: "host:0", Level: 1, Disks: 2, Role: 1, Member: member, Events: 77}
		got, err := Read(bytes.NewReader(one(minor, 1)), size)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("1.%d: %s", minor, d)
		}
	}
	for _, role := range []uint16{0xffff, 0xfffe, 2} {
		if got, err := Read(bytes.NewReader(one(2, role)), size); err != nil || got.Role != -1 {
			t.Errorf("role %#x: %+v, %v", role, got, err)
		}
	}
	got, err := Read(bytes.NewReader(zero(6)), size)
	want := &Super{Minor: 90, UUID: id, Level: 1, Disks: 2, Role: 1, Member: "disk 1", Events: 77}
	if d := cmp.Diff(want, got); err != nil || d != "" || got.Version() != "0.90" {
		t.Errorf("0.90: %v %s", err, d)
	}
	if got, err := Read(bytes.NewReader(zero(1)), size); err != nil || got.Role != -1 {
		t.Errorf("a faulty member: %+v, %v", got, err)
	}
	for name, disk := range map[string][]byte{"zeros": make([]byte, size), "small": make([]byte, 4096)} {
		if _, err := Read(bytes.NewReader(disk), int64(len(disk))); !errors.Is(err, ErrNoMember) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(one(1, 0)[:4096])
	f.Add(zero(6)[size-reserved : size-reserved+4096])
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := make([]byte, 256<<10)
		copy(disk, b)
		copy(disk[192<<10:], b)
		if s, err := Read(bytes.NewReader(disk), int64(len(disk))); err == nil && (s.Role >= s.Disks || s.Disks < 0) {
			t.Errorf("%+v", s)
		}
	})
}
