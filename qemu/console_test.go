package qemu

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	tests := []struct {
		text string
		n    int
		want string
	}{
		{"", 3, ""},
		{"one", 3, "one"},
		{"one\r\ntwo\r\nthree\r\n", 2, "two\nthree"},
		{"one\ntwo\n\n\n", 1, "two"},
		{"one\ntwo", 9, "one\ntwo"},
	}
	for _, tt := range tests {
		c := newConsoleLog()
		io.WriteString(c, tt.text)
		if got := c.tail(tt.n); got != tt.want {
			t.Errorf("last %d of %q: %q, want %q", tt.n, tt.text, got, tt.want)
		}
	}
}

func TestConsoleIsBounded(t *testing.T) {
	c := newConsoleLog()
	mib := strings.Repeat("x", 1<<20)
	for range maxConsole >> 20 {
		if _, err := io.WriteString(c, mib); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(c, "y"); !errors.Is(err, errConsoleFull) {
		t.Errorf("took more than the limit: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestConsoleOutlivesItsLog(t *testing.T) {
	c := newConsoleLog(brokenWriter{})
	for range 2 {
		if _, err := io.WriteString(c, "text"); err != nil {
			t.Fatal(err)
		}
	}
	if c.text() != "texttext" {
		t.Errorf("kept %q", c.text())
	}
}

func TestParseAccel(t *testing.T) {
	for text, want := range map[string]Accel{"kvm\n": KVM, "tcg\n": TCG, "": TCG, "nonsense": TCG} {
		if got := parseAccel(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
