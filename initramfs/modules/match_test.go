package modules

import (
	"debug/elf"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/initramfs/elftest"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"crypto-crc32c", "crypto_crc32c", true},
		{"crypto-crc32c", "crypto-crc32", false},
		{"virtio:d00000002v*", "virtio:d00000002v00001AF4", true},
		{"pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001b36d00000010sv00001af4sd00001100bc01sc08i02", true},
		{"pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001b36d00000010sv00001af4sd00001100bc01sc06i01", false},
		{"x[0-9a]?z", "x7qz", true},
		{"x[0-9a]?z", "xaqz", true},
		{"x[0-9a]?z", "xbqz", false},
		{"x[0-9", "x1", false},
		{"dmi:*pn/a*:", "dmi:bvn/x:pn/a1:", true},
		{"*", "", true},
		{"", "", true},
		{"", "x", false},
		{"a*b*c*d", strings.Repeat("ab", 100), false},
	} {
		if got := match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add(ko("depends=a,b", "softdep=pre: c post: d", "alias=x*"))
	f.Add(elftest.Program(elf.EM_X86_64, "/lib/ld.so"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := ParseInfo(b)
		if (info == nil) == (err == nil) {
			t.Fatalf("info %v with error %v", info, err)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("a*[b-d]?", "axxcq")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 200 || len(name) > 200 {
			return
		}
		if match(pattern, name) && !match("*"+pattern+"*", name) {
			t.Fatal("a wider pattern matches less")
		}
		if !match("*", name) {
			t.Fatal("* must match everything")
		}
	})
}
