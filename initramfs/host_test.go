package initramfs

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gokdump/gokdump/initramfs/archive"
)

func TestUnpacks(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write([]byte("CONFIG_RD_LZ4=y\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		running    bool
		want       string
	}{
		{"boot/config-1", "CONFIG_RD_ZSTD=y\nCONFIG_RD_GZIP=y\n# CONFIG_RD_XZ is not set\n", false, "[zstd gzip none] /boot/config-1"},
		{"lib/modules/1/config", "CONFIG_RD_XZ=y\n", false, "[xz none] /lib/modules/1/config"},
		{"usr/lib/modules/1/config", "\n", false, "[none] /usr/lib/modules/1/config"},
		{"proc/config.gz", gz.String(), true, "[lz4 none] /proc/config.gz"},
		{"proc/config.gz", gz.String(), false, "[gzip none] "},
		{"boot/config-2", "CONFIG_RD_ZSTD=y", false, "[gzip none] "},
	} {
		u, err := Unpacks(fstest.MapFS{tt.name: {Data: []byte(tt.text)}}, "1", tt.running)
		if got := fmt.Sprint(u.Known, " ", u.Source); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.name, got, err, tt.want)
		}
		for _, c := range archive.Compressions() {
			if ok := u.Check(c) == nil; ok != (u.Source == "" || strings.Contains(tt.want, string(c))) {
				t.Errorf("%s: Check(%s) is %v", tt.name, c, ok)
			}
		}
	}
	if _, err := Unpacks(fstest.MapFS{"proc/config.gz": {Data: []byte("no gzip")}}, "1", true); err == nil {
		t.Error("a broken config.gz gave no error")
	}
	u, err := Unpacks(fstest.MapFS{"boot/config-1": {Data: []byte("CONFIG_RD_GZIP=y")}}, "1", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Check(archive.Zstd); err == nil || !strings.Contains(err.Error(), "CONFIG_RD_ZSTD; it unpacks gzip, none") {
		t.Errorf("error %v", err)
	}
}

func TestFits(t *testing.T) {
	header := make([]byte, 0x300)
	copy(header[0x202:], "HdrS\x0f\x02")
	binary.LittleEndian.PutUint32(header[0x260:], 50*mib)
	size := archive.Stats{Packed: 2 * mib, Plain: 6 * mib}
	for name, tt := range map[string]struct {
		data []byte
		want int64 // MiB
	}{
		"boot/vmlinuz-1":        {header, 78},
		"lib/modules/1/vmlinuz": {header, 78},
		"boot/vmlinuz-2":        {header, 76},
		"boot/vmlinuz-1 ":       {nil, 76},
	} {
		n := NeedOf(fstest.MapFS{strings.TrimSpace(name): {Data: tt.data}}, "1", size)
		if n.Total() != tt.want*mib {
			t.Errorf("%s: %d MiB needed, want %d", name, n.Total()/mib, tt.want)
		}
		if err := n.Fits(tt.want * mib); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		err := n.Fits(tt.want*mib - 1)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("at least %d.0 MiB", tt.want)) || !strings.Contains(err.Error(), "image 2.0 MiB and 6.0 MiB unpacked") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
