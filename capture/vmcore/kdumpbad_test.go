package vmcore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

func TestKdumpBadPages(t *testing.T) {
	k := someKdump()
	k.codecs = []codec.ID{codec.Zlib}
	good, at := buildKdump(t, k)
	for _, tt := range []struct {
		name   string
		change func(d *kdumpfmt.Desc)
		want   error
		noPage bool
	}{
		{"lost", func(d *kdumpfmt.Desc) { *d = kdumpfmt.Desc{} }, ErrNoPage, true},
		{"behind the end", func(d *kdumpfmt.Desc) { d.Offset = int64(len(good)) - 1 }, ErrTruncated, true},
		{"far away", func(d *kdumpfmt.Desc) { d.Offset = math.MaxInt64 }, ErrTruncated, true},
		{"negative", func(d *kdumpfmt.Desc) { d.Offset = -5 }, kdumpfmt.ErrDesc, false},
		{"larger than a page", func(d *kdumpfmt.Desc) { d.Size = 4097 }, kdumpfmt.ErrDesc, false},
		{"4 GiB", func(d *kdumpfmt.Desc) { d.Size = math.MaxUint32 }, kdumpfmt.ErrDesc, false},
		{"empty", func(d *kdumpfmt.Desc) { d.Size = 0 }, kdumpfmt.ErrDesc, false},
		{"raw but short", func(d *kdumpfmt.Desc) { d.Flags = 0 }, kdumpfmt.ErrDesc, false},
		{"unknown flag", func(d *kdumpfmt.Desc) { d.Flags = 0x11 }, kdumpfmt.ErrDesc, false},
		{"other codec", func(d *kdumpfmt.Desc) { d.Flags = codec.FlagZstd }, codec.ErrCorrupt, false},
		{"cut", func(d *kdumpfmt.Desc) { d.Size-- }, codec.ErrCorrupt, false},
		{"shifted", func(d *kdumpfmt.Desc) { d.Offset++ }, codec.ErrCorrupt, false},
	} {
		b := bytes.Clone(good)
		d := kdumpfmt.ParseDesc(b[at+24:])
		tt.change(&d)
		d.Put(b[at+24:])
		_, r := mustOpen(t, b)
		for _, n := range []int{4096, 8, 4096, 8} { // with and without the cache
			err := r.ReadPhys(make([]byte, n), k.stored[1]*4096)
			if !errors.Is(err, tt.want) || errors.Is(err, ErrNoPage) != tt.noPage || !strings.Contains(err.Error(), "0x5000") {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		p := make([]byte, 8)
		if err := r.ReadPhys(p, k.stored[2]*4096); err != nil || !bytes.Equal(p, kdumpPage(k.stored[2])[:8]) {
			t.Errorf("%s: the next page: %v", tt.name, err)
		}
	}
}

// TestKdumpBadPageSparesCache wants no page's cached bytes to be those of another
// page that failed half way.
func TestKdumpBadPageSparesCache(t *testing.T) {
	k := someKdump()
	k.codecs = []codec.ID{codec.Zlib}
	b, at := buildKdump(t, k)
	d := kdumpfmt.ParseDesc(b[at:])
	b[d.Offset+int64(d.Size)-1] ^= 1 // the checksum: found when all is expanded
	_, r := mustOpen(t, b)
	p := make([]byte, 8)
	for _, pfn := range k.stored[1 : 1+cachePages] {
		if err := r.ReadPhys(p, pfn*4096); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.ReadPhys(p, k.stored[0]*4096); !errors.Is(err, codec.ErrCorrupt) {
		t.Fatalf("bad page: %v", err)
	}
	for _, pfn := range k.stored[1 : 1+cachePages] {
		if err := r.ReadPhys(p, pfn*4096); err != nil || !bytes.Equal(p, kdumpPage(pfn)[:8]) {
			t.Errorf("pfn %d after it: %v, % x", pfn, err, p)
		}
	}
}

func TestKdumpCut(t *testing.T) {
	k := someKdump()
	b, at := buildKdump(t, k)
	for _, n := range []int64{0, 8, 463, 4096, 4200, at - 1, at, at + 24*int64(len(k.stored)) - 1} {
		if _, err := Open(fileOf(b[:n])); !errors.Is(err, ErrTruncated) && n > 0 {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	_, r := mustOpen(t, b[:at+24*100+5], Salvage()) // a hundred descriptors, no page
	for _, pfn := range []uint64{k.stored[0], k.stored[99], k.stored[100], k.stored[len(k.stored)-1]} {
		if err := r.ReadPhys(make([]byte, 4096), pfn*4096); !errors.Is(err, ErrTruncated) || !errors.Is(err, ErrNoPage) {
			t.Errorf("pfn %d: %v", pfn, err)
		}
	}
	_, r = mustOpen(t, b[:len(b)-1]) // the last page alone is lost
	checkKdump(t, r, k.stored[len(k.stored)-1], k.stored[:len(k.stored)-1])
}

func TestKdumpBadHeader(t *testing.T) {
	good, _ := buildKdump(t, someKdump())
	for name, change := range map[string]func(b []byte){
		"page size of VMCOREINFO": func(b []byte) { copy(b[bytes.Index(b, []byte("PAGESIZE=4096")):], "PAGESIZE=8192") },
		"32-bit":                  func(b []byte) { copy(b[416:], b[428:444]); clear(b[428:432]) },
		"bitmap of one pfn":       func(b []byte) { binary.LittleEndian.PutUint64(b[4096+96:], 1<<40) },
	} {
		b := bytes.Clone(good)
		change(b)
		if _, err := Open(fileOf(b)); !errors.Is(err, kdumpfmt.ErrHeader) && !errors.Is(err, kdumpfmt.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
