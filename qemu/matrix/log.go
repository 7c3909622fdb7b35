package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// record is one message of the kernel's log, as drgn finds it.
type record struct {
	NS   uint64 `json:"ns"`   // since boot
	Text string `json:"text"` // one character for each byte
}

// layOut writes records as crash and our own programs write them: the time, then the
// text, whose further lines begin below the first, each as show has it. It shares no
// code with ours.
func layOut(records []record, show func(line string) string) string {
	var b strings.Builder
	for _, r := range records {
		head := fmt.Sprintf("[%5d.%06d] ", r.NS/1e9, r.NS%1e9/1e3)
		raw := make([]byte, 0, len(r.Text))
		for _, c := range r.Text {
			raw = append(raw, byte(c))
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n") {
			if i == 0 {
				b.WriteString(head)
			} else {
				b.WriteString(strings.Repeat(" ", len(head)))
			}
			b.WriteString(show(line))
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// harmless writes a byte that a terminal would obey, or that is no UTF-8, as \x and two
// digits, as our programs do.
func harmless(line string) string {
	var b strings.Builder
	for line != "" {
		c, n := utf8.DecodeRuneInString(line)
		if c == utf8.RuneError && n == 1 || c < 0x20 && c != '\t' || c >= 0x7f && c <= 0x9f {
			for i := range n {
				fmt.Fprintf(&b, `\x%02x`, line[i])
			}
		} else {
			b.WriteString(line[:n])
		}
		line = line[n:]
	}
	return b.String()
}

// dotted writes all bytes but printable ASCII and tab as dots, as crash does.
func dotted(line string) string {
	b := []byte(line)
	for i, c := range b {
		if (c < 0x20 || c >= 0x7f) && c != '\t' {
			b[i] = '.'
		}
	}
	return string(b)
}

// caller is what makedumpfile puts behind the time of each message.
var caller = regexp.MustCompile(`^(\[ *\d+\.\d{6}\] )(\[ *[TC]\d+\] )`)

// noCallers takes the column of callers out of makedumpfile's log: behind the time of a
// message's first line, and as many spaces in front of its other lines.
func noCallers(log string) string {
	var b strings.Builder
	column := 0
	for line := range strings.Lines(log) {
		if m := caller.FindStringSubmatch(line); m != nil {
			column = len(m[2])
			line = m[1] + line[len(m[0]):]
		} else if pad := strings.Repeat(" ", column); strings.HasPrefix(line, pad) {
			line = line[column:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// signed is a byte above 127 as makedumpfile prints it: it takes it for a negative
// number, and so in eight digits.
var signed = regexp.MustCompile(`\\xffffff([0-9a-f]{2})`)

// ownBytes writes bytes as we do that makedumpfile prints as such numbers.
func ownBytes(log string) string {
	restored := signed.ReplaceAllStringFunc(log, func(s string) string {
		var c byte
		if _, err := fmt.Sscanf(s[len(`\xffffff`):], "%02x", &c); err != nil {
			return s
		}
		return string([]byte{c})
	})
	var b strings.Builder
	for line := range strings.Lines(restored) {
		text, end := strings.CutSuffix(line, "\n")
		b.WriteString(harmless(text))
		if end {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// dmesg compares the log that we read with that of each reader, byte by byte:
//
//   - drgn gives the messages, and laying them out gives the same; drgn's own layout
//     is the same but for the spaces in front of a message's further lines, and it
//     prints each byte as it is;
//   - crash prints the same, with a dot for each byte that is not printable ASCII;
//   - makedumpfile prints the same but for a column of callers, and prints bytes above
//     127 as \xffffffXX;
//   - kdump-init saved the same.
func (c *checker) dmesg(ctx context.Context, path string, said said) (string, error) {
	out, err := exec.CommandContext(ctx, c.Command("kdump-vmcore"), "dmesg", path).Output()
	if err != nil {
		return "", fmt.Errorf("kdump-vmcore dmesg: %w", err)
	}
	ours := string(out)
	var errs []error
	same := func(whose, theirs, ours string) {
		if theirs != ours {
			errs = append(errs, fmt.Errorf("not %s: %s", whose, firstDifference(theirs, ours)))
		}
	}
	if f := said.facts; f == nil {
		errs = append(errs, errors.New("drgn gave no log to compare with"))
	} else {
		same("drgn's", layOut(f.Records, harmless), ours)
		same("drgn's own layout", f.Dmesg, rawLayout(f.Records))
		if said.crashLog != "" {
			same("crash's", said.crashLog, layOut(f.Records, dotted))
		}
	}
	theirs, err := c.makedumpfileLog(ctx, path)
	switch {
	case err == nil:
		same("makedumpfile's", ownBytes(noCallers(theirs)), ours)
	case !strings.Contains(path, "snappy"): // it knows zlib, lzo and zstd only
		errs = append(errs, err)
	}
	if c.core.Captured != "" {
		b, err := os.ReadFile(filepath.Join(c.core.Captured, "vmcore-dmesg.txt"))
		if err != nil {
			errs = append(errs, err)
		}
		same("kdump-init's", string(b), ours)
	}
	return fmt.Sprintf("%d lines", bytes.Count(out, []byte("\n"))), errors.Join(errs...)
}

// rawLayout writes records as drgn does: with nothing in front of further lines, and
// one character for each byte.
func rawLayout(records []record) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "[%5d.%06d] %s\n", r.NS/1e9, r.NS%1e9/1e3, r.Text)
	}
	return b.String()
}

func (c *checker) makedumpfileLog(ctx context.Context, path string) (string, error) {
	out, err := c.file("dmesg", nil)
	if err != nil {
		return "", err
	}
	if _, err := c.Readers.Run(ctx, []string{path, out}, "makedumpfile", "-f", "--dump-dmesg", "@0", "@1"); err != nil {
		return "", err
	}
	b, err := os.ReadFile(out)
	return string(b), err
}
