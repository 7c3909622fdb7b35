package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const hash = "00be21c0c17f08ddf26e82d3b53fe7a41efa4a288938da6bb69e89c4b25c281d"

const shown = `Package: linux-image-cloud-amd64
Source: linux-signed-amd64 (6.1.192+2)
Version: 6.1.192-2
Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)
Description: Linux for x86-64 cloud (meta-package)
 Filename: not this one
Filename: pool/l/linux-image-cloud-amd64_6.1.192-2_amd64.deb
Size: 1504
SHA256: ` + hash + `

Package: linux-image-cloud-amd64
Version: 6.1.176-1
`

func TestParsePackage(t *testing.T) {
	p, err := parsePackage(shown)
	if err != nil {
		t.Fatal(err)
	}
	want := Package{
		Name: "linux-image-cloud-amd64", Version: "6.1.192-2", Size: 1504, SHA256: hash,
		Filename: "pool/l/linux-image-cloud-amd64_6.1.192-2_amd64.deb",
		Depends:  "linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)",
	}
	if p != want {
		t.Errorf("got %+v", p)
	}
	for _, drop := range []string{"Package:", "Version:", "Filename:", "Size:", "SHA256:"} {
		if p, err := parsePackage(strings.ReplaceAll(shown, "\n"+drop, "\nX-"+drop)[strings.Index(shown, "\n"):]); err == nil {
			t.Errorf("without %s: accepted as %+v", drop, p)
		}
	}
	if p, err := parsePackage(strings.Replace(shown, hash, "../../etc", 1)); err == nil {
		t.Errorf("bad hash accepted: %+v", p)
	}
}

func TestKernelRelease(t *testing.T) {
	for depends, want := range map[string]string{
		"linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)":            "6.1.0-56-cloud-amd64",
		"x, linux-image-6.12.48+deb13-cloud-amd64 (= 6.12.48-1), y": "6.12.48+deb13-cloud-amd64",
		"linux-headers-6.1.0-56":                                    "",
		"":                                                          "",
		"linux-image-amd64":                                         "",
	} {
		got, err := kernelRelease(depends)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", depends, got, err, want)
		}
	}
}

func TestMirrorOf(t *testing.T) {
	got, err := mirrorOf("Other|main|stable|u0\nDebian|main|bookworm-updates|u1\nDebian|contrib|bookworm|u2\nDebian|main|bookworm|u3\n")
	if err != nil || got != "u3" {
		t.Errorf("%q, %v", got, err)
	}
	for _, s := range []string{"", "Debian|main\n", "|main|bookworm|u\n", "Debian|main|bookworm|\n"} {
		if got, err := mirrorOf(s); !errors.Is(err, errNoMirror) {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestVerify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.deb")
	if err := os.WriteFile(file, []byte("contents"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Package{Name: "p", Filename: "pool/p.deb", SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("contents")))}
	if err := p.verify(file); err != nil {
		t.Error(err)
	}
	// What is in the cache and sound is not fetched again: the cancelled
	// context would stop any program.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := p.Download(ctx, filepath.Dir(file), io.Discard); err != nil || got != file {
		t.Errorf("%q, %v", got, err)
	}
	p.SHA256 = hash
	if err := p.verify(file); err == nil || !strings.Contains(err.Error(), hash) {
		t.Errorf("wrong contents pass: %v", err)
	}
	if _, err := p.Download(ctx, filepath.Dir(file), io.Discard); err == nil {
		t.Error("wrong contents in the cache were taken")
	}
}

func archive(t *testing.T, hs ...tar.Header) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.WriteString(w, h.Name)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestUntar(t *testing.T) {
	dir := t.TempDir()
	err := untar(archive(t,
		tar.Header{Name: "./boot/", Typeflag: tar.TypeDir},
		tar.Header{Name: "./boot/vmlinuz", Typeflag: tar.TypeReg},
		tar.Header{Name: "./lib/modules/x/build", Typeflag: tar.TypeSymlink, Linkname: "/usr/src"},
		tar.Header{Name: "./usr/share/doc", Typeflag: tar.TypeReg},
	), dir, []string{"boot/", "lib/modules/"})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir + "/boot/vmlinuz"); err != nil || string(b) != "./boot/vmlinuz" {
		t.Errorf("%q, %v", b, err)
	}
	if l, err := os.Readlink(dir + "/lib/modules/x/build"); err != nil || l != "/usr/src" {
		t.Errorf("%q, %v", l, err)
	}
	if _, err := os.Stat(dir + "/usr"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unpacked what nobody asked for: %v", err)
	}
}

func TestUntarRefuses(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "dir")
	for name, hs := range map[string][]tar.Header{
		"nothing wanted": {{Name: "./etc/x", Typeflag: tar.TypeReg}},
		"a device":       {{Name: "./boot/null", Typeflag: tar.TypeChar}},
		"through a link": {{Name: "./boot/out", Typeflag: tar.TypeSymlink, Linkname: "../.."}, {Name: "./boot/out/x", Typeflag: tar.TypeReg}},
		"twice the same": {{Name: "./boot/x", Typeflag: tar.TypeReg}, {Name: "./boot/x", Typeflag: tar.TypeReg}},
	} {
		if err := os.RemoveAll(outside); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(outside, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := untar(archive(t, hs...), outside, []string{"boot/"}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := untar(strings.NewReader("not a tar archive, and long enough"), t.TempDir(), []string{""}); err == nil {
		t.Error("garbage accepted")
	}
}

func TestAtomically(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sub", "whole")
	broken := errors.New("broken")
	if err := atomically(name, func(dir string) error {
		return errors.Join(os.WriteFile(dir+"/half", nil, 0o600), broken)
	}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(name)); len(left) != 0 {
		t.Errorf("a broken run left %v", left)
	}
	for range 2 { // the second finds it made
		err := atomically(name, func(dir string) error { return os.Mkdir(dir+"/once", 0o755) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestKernelFromCache(t *testing.T) {
	cache := t.TempDir()
	if k, ok := newestKernel(cache); ok {
		t.Fatalf("found %+v in an empty cache", k)
	}
	root := filepath.Join(cache, "kernels", "6.1.0-1_6.1.1-1")
	for _, f := range []string{"boot/vmlinuz-6.1.0-1", "lib/modules/6.1.0-1/x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if k, ok := newestKernel(cache); ok {
		t.Fatalf("took %+v, which has no symbols", k)
	}
	debug := filepath.Join(root, "usr/lib/debug/boot/vmlinux-6.1.0-1")
	if err := errors.Join(os.MkdirAll(filepath.Dir(debug), 0o755), os.WriteFile(debug, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if k, ok := newestKernel(cache); !ok || k.Release != "6.1.0-1" || k.Debug != debug {
		t.Errorf("%+v, %v", k, ok)
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv(CacheEnv, "/x/y")
	if got, err := CacheDir(); err != nil || got != "/x/y" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv(CacheEnv, "")
	t.Setenv("XDG_CACHE_HOME", "/home/u/.cache")
	if got, err := CacheDir(); err != nil || got != "/home/u/.cache/gokdump" {
		t.Errorf("%q, %v", got, err)
	}
}
