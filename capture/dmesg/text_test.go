package dmesg

import (
	"errors"
	"strings"
	"testing"
)

func TestWriteText(t *testing.T) {
	r := newFakeRing(4, 12, 88, 99, 0)
	r.add("Linux version 6.1", 5, 0, 0)
	r.add("two\nlines\n", 6, 0, 0)
	r.add("Grüße \x1b[31m\t\r\xff\u0085", 6, 3, 0)
	r.add("", 6, 0, 0)
	const want = `[    0.000000] Linux version 6.1
[    1.000001] two
               lines
[    2.000002] Grüße \x1b[31m	\x0d\xff\xc2\x85
[    3.000003] 
`
	text := func(callers bool) string {
		t.Helper()
		l, err := read(parse(t, r.lines()...), &r.flat)
		if err != nil {
			t.Fatal(err)
		}
		if l.Callers {
			t.Error("a printk_ringbuffer does not tell that the kernel shows callers")
		}
		l.Callers = callers
		var b strings.Builder
		if err := l.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := text(false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.add("from a CPU\nand on", 6, 0, 1<<31|12)
	r.add("from a task", 6, 0, 4711)
	const withCallers = `[    0.000000][    T0] Linux version 6.1
[    1.000001][    T0] two
                       lines
[    2.000002][    T0] Grüße \x1b[31m	\x0d\xff\xc2\x85
[    3.000003][    T0] 
[    4.000004][   C12] from a CPU
                       and on
[    5.000005][ T4711] from a task
`
	if got := text(true); got != withCallers {
		t.Errorf("got\n%s\nwant\n%s", got, withCallers)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteTextError(t *testing.T) {
	r := newFakeRing(4, 12, 88, 99, 0)
	r.add("text", 6, 0, 0)
	l, err := read(parse(t, r.lines()...), &r.flat)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WriteText(full{}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
}

func TestCause(t *testing.T) {
	for _, tt := range []struct{ name, log, panicLine, oops string }{
		{"quiet", "all is well", "", ""},
		{"sysrq", "sysrq: Trigger a crash|Kernel panic - not syncing: sysrq triggered crash|CPU: 1", "Kernel panic - not syncing: sysrq triggered crash", ""},
		{"oops", "BUG: kernel NULL pointer dereference, address: 0|Oops: 0002 [#1] SMP|RIP: 0010:x|Kernel panic - not syncing: Fatal exception|---[ end Kernel panic - not syncing: Fatal exception ]---",
			"Kernel panic - not syncing: Fatal exception", "BUG: kernel NULL pointer dereference, address: 0"},
		{"inside a record", "x\nkernel BUG at mm/slub.c:1!\ny", "", "kernel BUG at mm/slub.c:1!"},
		{"escaped", "Kernel panic - not syncing: \x1b[2J", `Kernel panic - not syncing: \x1b[2J`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newFakeRing(4, 12, 88, 99, 0)
			for s := range strings.SplitSeq(tt.log, "|") {
				r.add(s, 0, 0, 0)
			}
			l, err := read(parse(t, r.lines()...), &r.flat)
			if err != nil {
				t.Fatal(err)
			}
			if l.Panic != tt.panicLine || l.Oops != tt.oops {
				t.Errorf("Panic %q, Oops %q", l.Panic, l.Oops)
			}
		})
	}
}
