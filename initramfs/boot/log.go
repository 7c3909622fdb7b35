package boot

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Kernel log levels, include/linux/kern_levels.h.
const (
	levelErr   = 3
	levelWarn  = 4
	levelInfo  = 6
	levelDebug = 7
)

// maxRecord bounds one record written to /dev/kmsg, in bytes. The kernel
// refuses more than LOG_LINE_MAX, kernel/printk/printk.c, less its own prefix:
// 976 in kernels before 6.10.
const maxRecord = 900

// maxOwn bounds the lines kept in memory, in bytes.
const maxOwn = 128 << 10

// prefix starts every line, so that they can be found in a kernel log.
const prefix = "kdump: "

// Log is PID 1's log. Lines go to the kernel's log buffer, from where the kernel
// prints them on every console, and to our console when the kernel's console
// level keeps them back. The latest are kept for capture.log. Its methods may
// be called from several goroutines, and never wait for a console.
type Log struct {
	mu      sync.Mutex
	kmsg    io.Writer
	console *Console
	level   int
	debug   bool
	own     []byte
	cut     bool
}

// NewLog writes to kmsg, an open /dev/kmsg or nil, and to console, which may be
// nil. consoleLevel is the first number of /proc/sys/kernel/printk: the kernel
// prints what is below it. debug lets Debugf through.
func NewLog(kmsg io.Writer, console *Console, consoleLevel int, debug bool) *Log {
	return &Log{kmsg: kmsg, console: console, level: consoleLevel, debug: debug}
}

// Errorf logs what made something fail.
func (l *Log) Errorf(format string, a ...any) { l.add(levelErr, fmt.Sprintf(format, a...)) }

// Warnf logs what is wrong but stops nothing.
func (l *Log) Warnf(format string, a ...any) { l.add(levelWarn, fmt.Sprintf(format, a...)) }

// Infof logs what is done.
func (l *Log) Infof(format string, a ...any) { l.add(levelInfo, fmt.Sprintf(format, a...)) }

// Debugf logs details when the log was made for them.
func (l *Log) Debugf(format string, a ...any) {
	if l.debug {
		l.add(levelDebug, fmt.Sprintf(format, a...))
	}
}

// Progress shows a line on the console only: hours of them would push
// everything else out of the kernel's log buffer.
func (l *Log) Progress(line string) {
	if l.console != nil {
		l.console.Line(prefix + printable(line))
	}
}

func (l *Log) add(level int, s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(s) {
		line = printable(strings.TrimRight(line, "\r\n"))
		for first := true; first || line != ""; first = false {
			var part string
			part, line = splitAt(line, maxRecord-len(prefix)-len("<6>"))
			l.record(level, prefix+part)
		}
	}
}

func (l *Log) record(level int, s string) {
	l.own = append(append(l.own, s...), '\n')
	if len(l.own) > 2*maxOwn { // rarely, so that a line costs no copy
		l.own = append(l.own[:0], l.own[len(l.own)-maxOwn:]...)
		l.cut = true
	}
	shown := false
	if l.kmsg != nil {
		_, err := fmt.Fprintf(l.kmsg, "<%d>%s\n", level, s)
		shown = err == nil && level < l.level
	}
	if !shown && l.console != nil {
		l.console.Line(s)
	}
}

// Own gives the latest lines of this log, about 128 KiB at least when there are
// as many.
func (l *Log) Own() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return append([]byte("(earlier lines left out)\n"), l.own...)
	}
	return append([]byte(nil), l.own...)
}

// splitAt cuts s after at most n bytes, between runes.
func splitAt(s string, n int) (head, tail string) {
	if len(s) <= n {
		return s, ""
	}
	for n > 1 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], s[n:]
}

// printable keeps a terminal safe from the bytes of labels, file names and old
// log lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
