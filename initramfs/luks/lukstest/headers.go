// Package lukstest holds the headers of two volumes that cryptsetup 2.6.1 made, up to
// the end of their first key slot, for the tests of all packages that read such. It is for
// tests only.
package lukstest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"testing"
)

// The key file that opens both, and the keys of the volumes as luksDump --dump-volume-key
// gave them.
const (
	KeyFile = "a key\nfile\x00with all"
	KeyOne  = "44990dfd7c66226633aa6ecdc524fad9bb9bcb87f9980a19db519df91bcd724e"
	KeyTwo  = "d1f1024b105cfe3fcd0f45f49c6eed830b7aee1c1361713c6a4bb19d4633fb26"
	UUIDOne = "11111111-2222-3333-4444-555555555555"
	UUIDTwo = "22222222-2222-3333-4444-555555555555"
)

//go:embed one.gz two.gz
var headers embed.FS

// Header gives one, of LUKS1 with PBKDF2, or two, of LUKS2 with argon2id.
func Header(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := headers.ReadFile(name + ".gz")
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
