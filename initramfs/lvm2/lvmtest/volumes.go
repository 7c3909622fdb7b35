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
