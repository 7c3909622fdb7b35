package lvm2

import (
	"errors"
	"fmt"
	"strconv"
)

// maxDepth bounds the nesting of sections; LVM itself needs three.
const maxDepth = 16

// section is one section of the text: names and what they stand for, which is a
// *section, a string, an int64 or a []any of strings and numbers.
type section struct {
	names  []string // in the text's order
	values map[string]any
}

func (s *section) sub(name string) *section {
	v, _ := s.values[name].(*section)
	if v == nil {
		return &section{}
	}
	return v
}

func (s *section) text(name string) string {
	v, _ := s.values[name].(string)
	return v
}

// number gives an integer that is not negative.
func (s *section) number(name string) (uint64, error) {
	v, ok := s.values[name].(int64)
	if !ok || v < 0 {
		return 0, fmt.Errorf("%s is no number that can be", name)
	}
	return uint64(v), nil
}

func (s *section) list(name string) []any {
	v, _ := s.values[name].([]any)
	return v
}

// parse reads the text form of metadata: NAME { ... }, NAME = VALUE, NAME =
// [VALUE, ...], with comments from # to the line's end.
func parse(text []byte) (*section, error) {
	p := &reader{text: text}
	s, err := p.section(0)
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", p.at, err)
	}
	return s, nil
}

// reader walks through the text.
type reader struct {
	text []byte
	at   int
}

var errEnd = errors.New("the text ends too early")

// skip goes to the next byte that means something and gives it; 0 at the end.
func (r *reader) skip() byte {
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '#':
			for r.at < len(r.text) && r.text[r.at] != '\n' {
				r.at++
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			r.at++
		case c == 0: // what is behind the text
			r.at = len(r.text)
		default:
			return c
		}
	}
	return 0
}

// section reads up to the closing brace; up to the end for depth 0.
func (r *reader) section(depth int) (*section, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d sections in each other", maxDepth)
	}
	s := &section{values: map[string]any{}}
	for {
		switch c := r.skip(); {
		case c == 0 && depth == 0:
			return s, nil
		case c == 0:
			return nil, errEnd
		case c == '}' && depth > 0:
			r.at++
			return s, nil
		}
		name, err := r.name()
		if err != nil {
			return nil, err
		}
		if _, twice := s.values[name]; twice {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		var v any
		switch c := r.skip(); c {
		case '{':
			r.at++
			v, err = r.section(depth + 1)
		case '=':
			r.at++
			v, err = r.value()
		default:
			return nil, fmt.Errorf("%q behind the name %q", c, name)
		}
		if err != nil {
			return nil, err
		}
		s.names, s.values[name] = append(s.names, name), v
	}
}

// name reads what may name a section or a value: LVM's own set of characters.
func (r *reader) name() (string, error) {
	start := r.at
	for r.at < len(r.text) && isName(r.text[r.at]) {
		r.at++
	}
	if r.at == start {
		return "", fmt.Errorf("%q where a name belongs", r.text[start])
	}
	return string(r.text[start:r.at]), nil
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '+'
}

// value reads a string, a number, or a list of these.
func (r *reader) value() (any, error) {
	if r.skip() != '[' {
		return r.scalar()
	}
	r.at++
	list := []any{}
	for {
		switch r.skip() {
		case ']':
			r.at++
			return list, nil
		case ',':
			r.at++
		case 0:
			return nil, errEnd
		default:
			v, err := r.scalar()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	}
}

func (r *reader) scalar() (any, error) {
	switch c := r.skip(); {
	case c == 0:
		return nil, errEnd
	case c == '"':
		return r.quoted()
	case c == '-' || c >= '0' && c <= '9':
		start := r.at
		for r.at++; r.at < len(r.text) && (r.text[r.at] == '.' || r.text[r.at] >= '0' && r.text[r.at] <= '9'); r.at++ {
		}
		n, err := strconv.ParseInt(string(r.text[start:r.at]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", r.text[start:r.at])
		}
		return n, nil
	default:
		return nil, fmt.Errorf("%q where a value belongs", c)
	}
}

// quoted reads a string; a backslash takes the next byte as it is.
func (r *reader) quoted() (string, error) {
	var out []byte
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case '"':
			r.at++
			return string(out), nil
		case '\\':
			if r.at++; r.at == len(r.text) {
				return "", errEnd
			}
			out = append(out, r.text[r.at])
		default:
			out = append(out, c)
		}
	}
	return "", errEnd
}
