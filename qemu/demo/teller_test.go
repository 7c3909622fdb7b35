package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestTeller(t *testing.T) {
	var out, note bytes.Buffer
	tell := newTeller(func(format string, a ...any) { fmt.Fprintf(&out, format+"\n", a...) }, &note)
	for _, s := range []string{
		"[    0.1] Linux version\r\n[    1.0] GUEST: filled mem", "ory\r\n[    9.9] Kernel panic - not syncing: sysrq\r\n",
		"[    2.0] kdump: write 24 %, 23 MiB read\r\n[    3.0] kdump: the dump is complete " + strings.Repeat("x", 200) + "\r\n",
		"half a line",
	} {
		io.WriteString(tell, s)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "GUEST: filled memory") || !strings.Contains(lines[1], "Kernel panic") ||
		!strings.Contains(lines[2], "complete") || len(lines[2]) > 110 {
		t.Errorf("told %q", lines)
	}
	if n := note.String(); !strings.Contains(n, "write 24 %") || !strings.Contains(n, "Linux version") || strings.Contains(n, "half") {
		t.Errorf("news %q", n)
	}
}
