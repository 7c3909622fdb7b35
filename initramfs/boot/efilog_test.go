package boot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// room is a store that has all room, none, or does not tell.
func room(size, free uint64) func(string) (uint64, uint64, error) {
	return func(string) (uint64, uint64, error) { return size, free, nil }
}

const kernelRecord = efiPrefix + "1-1-1700000000-C" + efiVendor

func variable(t *testing.T, dir, name string, attributes uint32, size int) {
	t.Helper()
	b := append(binary.LittleEndian.AppendUint32(nil, attributes), make([]byte, size)...)
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[%5d.000000] line %d of the crashed kernel's log\n", i, i)
	}
	return b.String()
}

func TestEFILog(t *testing.T) {
	dir := t.TempDir()
	variable(t, dir, kernelRecord, efiAttributes, 100)
	variable(t, dir, efiPrefix+"1-999-1600000000-D"+efiVendor, efiAttributes, 100) // ours, of before
	at := time.Unix(1_700_000_000, 0)
	n, err := EFILog{Dir: dir, Space: room(64<<10, 33<<10)}.Save(t.Context(), []byte(lines(1000)), at)
	if err != nil || n != efiRecords {
		t.Fatalf("%d records, %v", n, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != efiRecords+1 {
		t.Errorf("%d variables, want %d and the kernel's own", len(list), efiRecords)
	}
	// As the kernel and systemd put them together: the highest part first.
	var got string
	for part := efiRecords; part > 0; part-- {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("dump-type0-%d-999-1700000000-D-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0", part)))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 4+1024 || binary.LittleEndian.Uint32(b) != 7 {
			t.Errorf("part %d: %d bytes, attributes %x", part, len(b), b[:4])
		}
		head, text, _ := strings.Cut(string(b[4:]), "\n")
		if !regexp.MustCompile(fmt.Sprintf(`^Panic#1 Part%d\b`, part)).MatchString(head) {
			t.Errorf("part %d begins with %q", part, head)
		}
		got += text
	}
	if !strings.HasSuffix(lines(1000), got) || len(got) < 10<<10 || !strings.HasPrefix(got, "[") {
		t.Errorf("%d bytes that are not whole lines of the log's end: %.80q", len(got), got)
	}
}

func TestEFILogShort(t *testing.T) {
	for text, want := range map[string]int{"": 0, "\n\n": 0, "one\n": 1, strings.Repeat("x", 5000): 6, lines(40): 3} {
		dir := t.TempDir()
		if n, err := (EFILog{Dir: dir, Space: room(1000, 1000)}).Save(t.Context(), []byte(text), time.Now()); n != want || err != nil {
			t.Errorf("%.20q: %d records, %v; want %d", text, n, err, want)
		}
	}
}

func TestEFILogRefused(t *testing.T) {
	text := []byte(lines(1000))
	for name, tt := range map[string]struct {
		space func(string) (uint64, uint64, error)
		used  int
		attr  uint32
		want  string
	}{
		"half full":        {room(64<<10, 31<<10), 10, 7, "only 31744 are free"},
		"size not known":   {room(0, 0), 33 << 10, 7, "does not tell"},
		"only in memory":   {room(0, 0), 33 << 10, 6, ""},
		"space not known":  {func(string) (uint64, uint64, error) { return 0, 0, os.ErrInvalid }, 10, 7, "invalid"},
		"little, no total": {room(0, 0), 10, 7, ""},
	} {
		dir := t.TempDir()
		variable(t, dir, "dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f", tt.attr, tt.used)
		n, err := EFILog{Dir: dir, Space: tt.space}.Save(t.Context(), text, time.Now())
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || n != 0) {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := (EFILog{Dir: t.TempDir(), Space: room(0, 0)}).Save(ctx, text, time.Now()); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("no time left: %d, %v", n, err)
	}
	if _, err := (EFILog{Dir: filepath.Join(t.TempDir(), "none")}).Save(t.Context(), text, time.Now()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no efivarfs: %v", err)
	}
}
