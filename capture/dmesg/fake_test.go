package dmesg

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/kernel"
)

// span is a piece of kernel memory.
type span struct {
	va uint64
	b  []byte
}

// flat is kernel memory without page tables: spans, and holes in them.
type flat struct {
	spans []span
	holes [][2]uint64
	reads int
}

func (f *flat) ReadVirt(p []byte, va uint64) error {
	f.reads++
	end := va + uint64(len(p))
	for _, h := range f.holes {
		if va < h[1] && end > h[0] {
			return fmt.Errorf("hole at %#x", va)
		}
	}
	for _, s := range f.spans {
		if va >= s.va && end <= s.va+uint64(len(s.b)) && end >= va {
			copy(p, s.b[va-s.va:])
			return nil
		}
	}
	return fmt.Errorf("nothing at %#x", va)
}

func (f *flat) span(va, size uint64) []byte {
	b := make([]byte, size)
	f.spans = append(f.spans, span{va, b})
	return b
}

func parse(t testing.TB, lines ...string) *kernel.Info {
	t.Helper()
	text := "OSRELEASE=6.1.0\nPAGESIZE=4096\n" + strings.Join(lines, "\n") + "\n"
	info, err := kernel.ParseInfo([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func collect(l *Log) []string {
	var out []string
	for r := range l.Records() {
		out = append(out, string(r.Text))
	}
	return out
}

// cut drops the lines that start with prefix.
func cut(lines []string, prefix string) []string {
	var out []string
	for _, l := range lines {
		if !strings.HasPrefix(l, prefix) {
			out = append(out, l)
		}
	}
	return out
}

var le = binary.LittleEndian
