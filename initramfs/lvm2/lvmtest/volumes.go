// Package lvmtest holds the start of two physical volumes that LVM itself made, for
// the tests of all packages that read such. It is for tests only.
//
// LVM 2.03.16 left them so: a group vg-a with the linear volumes first and root (three
// segments on both), and a striped one.
package lvmtest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
)

// What the metadata names: IDs without dashes.
const (
	Group   = "k03k5W6RGONH6PBXxMw9czVIm1BMJqMh"
	Root    = "rqI4UnXZjQo7FJ5evj2ORQxYSSjnz6cL"
	Stripes = "62sK7Og6ruDd5nG53k13MpD8qZK07yDb"
)

//go:embed pv0.gz pv1.gz
var volumes embed.FS

// Volume gives the first MiB of the physical volume name: pv0 or pv1.
func Volume(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := volumes.ReadFile(name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Renamed gives the same with another id in its label, as a volume of another group
// has.
func Renamed(t testing.TB, name string) []byte {
	const (
		sector  = 512
		label   = 512 // in the second sector
		initial = 0xf597a6cf
	)
	b := Volume(t, name)
	h := b[label : label+sector]
	copy(h[32:64], "another-volume-of-another-group-")
	sum := ^crc32.Update(^uint32(initial), crc32.IEEETable, h[20:])
	binary.LittleEndian.PutUint32(h[16:], sum)
	return b
}
