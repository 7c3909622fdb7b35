package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parser carries what is known while a file is read line by line.
type parser struct {
	cfg  *Config
	line int
	seen map[string]int // word (or group of words that exclude each other) to its line
	errs errorList
	net  netParser
}

func (p *parser) errorf(format string, a ...any) {
	p.errs.add(&Error{File: p.cfg.Name, Line: p.line, Msg: fmt.Sprintf(format, a...)})
}

func (p *parser) notef(format string, a ...any) {
	p.cfg.Notes = append(p.cfg.Notes, fmt.Sprintf("%s:%d: ", p.cfg.Name, p.line)+fmt.Sprintf(format, a...))
}

// once reports whether key is new, and complains when it is not.
func (p *parser) once(key, what string) bool {
	if at, ok := p.seen[key]; ok {
		p.errorf("%s was already given on line %d", what, at)
		return false
	}
	p.seen[key] = p.line
	return true
}

func (p *parser) run(text string) {
	for i, line := range strings.Split(text, "\n") {
		p.line = i + 1
		line = strings.TrimSuffix(line, "\r")
		if !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) {
			p.errorf("the line holds bytes that are not text")
			continue
		}
		line = strings.TrimSpace(stripComment(line))
		if line == "" {
			continue
		}
		word, value := line, ""
		if at := strings.IndexFunc(line, unicode.IsSpace); at >= 0 {
			word, value = line[:at], strings.TrimSpace(line[at:])
		}
		p.word(word, value)
	}
}

func (p *parser) word(word, value string) {
	do, ok := words()[word]
	if !ok {
		p.unknown(word, value)
		return
	}
	if value == "" {
		p.errorf("%s has no value: want %s %s", word, word, do.usage)
		return
	}
	if do.group == "" && !p.once(word, word) {
		return
	}
	do.take(p, word, value)
}

// stripComment cuts at the first # that starts the line or follows white space, so
// that a label may hold one.
func stripComment(s string) string {
	for i := range len(s) {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			return s[:i]
		}
	}
	return s
}

func isControl(r rune) bool { return r != '\t' && unicode.IsControl(r) }
