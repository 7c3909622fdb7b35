package dmesg

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// maxNote bounds Log.Panic and Log.Oops, in bytes.
const maxNote = 1000

// WriteText writes the log as dmesg(1) shows it, one record for each line:
//
//	[    1.500000] text
//	[    1.500000][    T1] text
//
// with the caller, a task (T) or a CPU (C), if l.Callers is set. Further
// lines of a record are indented to the first one's text. UTF-8 is written as
// it is, all control characters but tab, and what is no UTF-8, as \x1b, so that
// a log cannot take over the terminal that shows it.
func (l *Log) WriteText(w io.Writer) error {
	out := bufio.NewWriterSize(w, 32<<10)
	var line []byte
	for rec := range l.Records() {
		line = rec.AppendText(line[:0], l.Callers)
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write kernel log: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write kernel log: %w", err)
	}
	return nil
}

// AppendText appends the record as [Log.WriteText] writes it, with its newline.
func (r *Record) AppendText(b []byte, callers bool) []byte {
	start := len(b)
	if r.Timed {
		b = fmt.Appendf(b, "[%5d.%06d]", r.TimeNS/1e9, r.TimeNS%1e9/1e3)
		if callers {
			b = fmt.Appendf(b, "[%6s]", r.CallerName())
		}
		b = append(b, ' ')
	}
	indent := len(b) - start
	for rest := bytes.TrimSuffix(r.Text, []byte("\n")); ; {
		line, more, found := bytes.Cut(rest, []byte("\n"))
		b = append(AppendEscaped(b, line), '\n')
		if !found {
			return b
		}
		b = append(b, bytes.Repeat([]byte(" "), indent)...)
		rest = more
	}
}

// CallerName is the caller as the kernel prints it: T and the id of a task, or C
// and the number of a CPU.
func (r *Record) CallerName() string {
	const cpu = 1 << 31 // kernel/printk/printk.c, printk_caller_id
	if r.Caller&cpu != 0 {
		return fmt.Sprintf("C%d", r.Caller&^cpu)
	}
	return fmt.Sprintf("T%d", r.Caller)
}

// AppendEscaped appends text to b; control characters other than tab, and bytes
// that are no UTF-8, become \x and two hexadecimal digits for each byte.
func AppendEscaped(b, text []byte) []byte {
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		switch {
		case c == utf8.RuneError && n == 1, c < ' ' && c != '\t', 0x7f <= c && c < 0xa0:
			for _, x := range text[:n] {
				b = fmt.Appendf(b, `\x%02x`, x)
			}
		default:
			b = append(b, text[:n]...)
		}
		text = text[n:]
	}
	return b
}

var (
	panicMark = []byte("Kernel panic - not syncing")
	// The line before an "Oops: 0002" says more than it does.
	oopsMark = []byte("Oops: ")
	bugMarks = [][]byte{[]byte("BUG: "), []byte("general protection fault"), []byte("kernel BUG at "),
		[]byte("Internal error: "), []byte("Unable to handle kernel ")}
)

// noteCause keeps the last lines that tell why the kernel died.
func (l *Log) noteCause(text []byte) {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if bytes.Contains(line, panicMark) && !bytes.HasPrefix(line, []byte("---[ end ")) {
			l.Panic = note(line)
			continue
		}
		bug := slices.ContainsFunc(bugMarks, func(m []byte) bool { return bytes.Contains(line, m) })
		if bug || l.Oops == "" && bytes.Contains(line, oopsMark) {
			l.Oops = note(line)
		}
	}
}

func note(line []byte) string {
	return string(AppendEscaped(nil, line[:min(len(line), maxNote/4)]))
}
