package luks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/initramfs/luks/lukstest"
)

func TestKey(t *testing.T) {
	for name, tt := range map[string]struct {
		uuid, key string
		version   int
		offset    uint64
		sector    int
	}{
		"one": {lukstest.UUIDOne, lukstest.KeyOne, 1, 4096, 512},
		"two": {lukstest.UUIDTwo, lukstest.KeyTwo, 2, 2048, 4096},
	} {
		r := bytes.NewReader(lukstest.Header(t, name))
		v, err := Read(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v.UUID != tt.uuid || v.Version != tt.version || v.Offset != tt.offset || v.SectorSize != tt.sector || v.Tweak != 0 {
			t.Errorf("%s: %+v", name, v)
		}
		got, err := v.Key(r, []byte(lukstest.KeyFile))
		if err != nil || hex.EncodeToString(got) != tt.key {
			t.Errorf("%s: key %x, %v", name, got, err)
		}
		for _, wrong := range []string{"", lukstest.KeyFile + "\n", lukstest.KeyFile[:10]} {
			if got, err := v.Key(r, []byte(wrong)); !errors.Is(err, ErrNoKey) || got != nil {
				t.Errorf("%s: a wrong key file: %x, %v", name, got, err)
			}
		}
		if _, err := v.Key(bytes.NewReader(lukstest.Header(t, name)[:64<<10]), []byte(lukstest.KeyFile)); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: cut: %v", name, err)
		}
	}
}

// sealed puts text into the JSON of a good header in place of other text of the same
// length, and sets its checksum right.
func sealed(t testing.TB, old, text string) []byte {
	b := lukstest.Header(t, "two")
	at := bytes.Index(b[:16<<10], []byte(old))
	if at < 0 || len(old) < len(text) {
		t.Fatalf("%q is not in the header, or shorter than %q", old, text)
	}
	copy(b[at:], text+strings.Repeat(" ", len(old)-len(text)))
	clear(b[448:512])
	sum := sha256.Sum256(b[:16<<10])
	copy(b[448:], sum[:])
	return b
}

func TestRefused(t *testing.T) {
	spoil := func(name string, at int, b string) []byte {
		h := lukstest.Header(t, name)
		copy(h[at:], b)
		return h
	}
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":         {make([]byte, 8192), "no header"},
		"short":           {[]byte(magic), "read the header"},
		"version 3":       {spoil("one", 6, "\x00\x03"), "version 3"},
		"cipher of one":   {spoil("one", 40, "cbc-essiv"), "cipher"},
		"hash of one":     {spoil("one", 72, "ripemd160"), "ripemd160"},
		"key of one":      {spoil("one", 108, "\x00\x00\x01\x00"), "key of 256 bytes"},
		"stripes of one":  {spoil("one", slots1+44, "\x7f\xff\xff\xff"), "stripes"},
		"checksum of two": {spoil("two", 5000, "x"), "checksum"},
		"size of two":     {spoil("two", 8, "\x7f"), "a header of"},
		"cut two":         {lukstest.Header(t, "two")[:8192], "read the header"},
		"JSON of two":     {sealed(t, `{"keyslots"`, `["keyslots"`), "JSON"},
		"cipher of two":   {sealed(t, `"iv_tweak":"0","encryption":"aes-xts-plain64"`, `"iv_tweak":"0","encryption":"serpent-xts"`), "serpent-xts"},
		"sectors of two":  {sealed(t, `"sector_size":4096`, `"sector_size":1000`), "sectors of 1000"},
		"memory of two":   {sealed(t, `"memory":1024`, `"memory":9e9 `), "JSON"},
		"threads of two":  {sealed(t, `"cpus":2`, `"cpus":0`), "threads"},
		"a fixed size":    {sealed(t, `"size":"dynamic"`, `"size":"4096"`), "device's end"},
	} {
		if v, err := Read(bytes.NewReader(tt.data)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v; want an error with %q", name, v, err, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(lukstest.Header(f, "one")[:4096], false)
	f.Add(lukstest.Header(f, "two")[:16<<10], true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= 16<<10 { // or nothing behind the checksum is ever read
			b = bytes.Clone(b)
			clear(b[448:512])
			sum := sha256.Sum256(b[:16<<10])
			copy(b[448:], sum[:])
		}
		v, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, s := range v.slots {
			if s.stripes < 1 || s.stripes > maxStripes || s.size != 32 && s.size != 64 || s.offset < 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}
