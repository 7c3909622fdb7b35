// Package crypttest reads what package crypt wrote as anybody does who has age: it is
// test code only.
package crypttest

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
)

// Identity makes a private key.
func Identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Decrypt gives the text of a file.
func Decrypt(t testing.TB, path string, id age.Identity) []byte {
	t.Helper()
	text, err := Seen{os.DirFS(filepath.Dir(path)), id}.ReadFile(filepath.Base(path))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return text
}

// Plain writes the text of a file to another, which it gives.
func Plain(t testing.TB, path string, id age.Identity) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(out, Decrypt(t, path, id), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// Seen shows a directory of encrypted files as what is in them.
type Seen struct {
	fs.FS
	ID age.Identity
}

// ReadFile implements [fs.ReadFileFS].
func (s Seen) ReadFile(name string) ([]byte, error) {
	b, err := fs.ReadFile(s.FS, name)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(b), s.ID)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
