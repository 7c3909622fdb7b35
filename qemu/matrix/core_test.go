package matrix

import (
	"path/filepath"
	"testing"

	"github.com/gokdump/gokdump/qemu/debian"
)

// A new core takes the place of those of the same case by the same row's kernels, and of
// no others.
func TestSuperseded(t *testing.T) {
	k := &debian.Kernel{Release: "6.12.117+deb13-cloud-amd64", Root: "/cache/kernels/6.12.117+deb13-cloud-amd64_6.12.117-1"}
	patterns := superseded(k, Case{Name: "usual"})
	for name, want := range map[string]bool{
		"6.12.117+deb13-cloud-amd64_6.12.117-1.usual.33aeb3064fa9":    true,
		"6.12.90+deb13-cloud-amd64_6.12.90-1.usual.33aeb3064fa9":      true,
		"6.12.90+deb13-cloud-amd64_6.12.90-1.gigantic.33aeb3064fa9":   false,
		"6.12.117+deb13-rt-amd64_6.12.117-1.usual.33aeb3064fa9":       false,
		"6.1.0-56-cloud-amd64_6.1.192-2.usual.33aeb3064fa9":           false,
		"6.12.117+deb13-cloud-amd64_6.12.117-1.la57-holes.33aeb3064f": false,
		"vmcore-6.12.elf": false,
	} {
		got := false
		for _, p := range patterns {
			ok, err := filepath.Match(p, name)
			if err != nil {
				t.Fatal(err)
			}
			got = got || ok
		}
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
