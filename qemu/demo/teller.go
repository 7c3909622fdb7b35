package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// told are the console lines that tell the story; the rest is a kernel booting.
var told = regexp.MustCompile(`GUEST: (filled|\| armed|panicking|file )|Kernel panic - not syncing|kdump: |reboot: Restarting`)

// news are those of them that follow each other fast: they are shown as the
// step's news only.
var news = regexp.MustCompile(`kdump: \w+ +\d+ %`)

// teller picks the lines of a console that tell the story.
type teller struct {
	say  func(format string, a ...any) // for lines that stay
	note io.Writer                     // for the others
	part []byte
}

func newTeller(say func(string, ...any), note io.Writer) *teller {
	return &teller{say: say, note: note}
}

// Write takes the console's text as it comes.
func (t *teller) Write(p []byte) (int, error) {
	t.part = append(t.part, p...)
	for {
		line, rest, ok := bytes.Cut(t.part, []byte("\n"))
		if !ok {
			break
		}
		t.part = rest
		t.line(strings.TrimSpace(string(line)))
	}
	if len(t.part) > 4096 {
		t.part = nil
	}
	return len(p), nil
}

func (t *teller) line(s string) {
	if !told.MatchString(s) {
		// That the kernel lives is news too.
		fmt.Fprintf(t.note, "%s\n", s)
		return
	}
	if news.MatchString(s) {
		fmt.Fprintf(t.note, "%s\n", s)
		return
	}
	if len(s) > 100 {
		s = s[:97] + "..."
	}
	t.say("| %s", s)
}
