package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestEncoders measures on a core of struct pages: they shrink in any codec, and least
// when they are only copied.
func TestEncoders(t *testing.T) {
	core := filepath.Join(t.TempDir(), "core")
	if err := writeSparse(core, 1<<30, true); err != nil {
		t.Fatal(err)
	}
	all, err := encoders(core, io.Discard)
	if err != nil || len(all) != 5 {
		t.Fatalf("%v, %v", all, err)
	}
	text := encoderTable(all)
	for i, e := range all {
		if e.rate <= 0 || e.share > 1 || (e.share == 1) != (i == 0) {
			t.Errorf("%s: %.0f bytes each second, %.3f of the size", e.name, e.rate, e.share)
		}
		if !strings.Contains(text, "| "+e.name+" | ") {
			t.Errorf("%s is not in the table:\n%s", e.name, text)
		}
	}
}
