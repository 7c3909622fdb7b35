// Package spoil makes wrong VMCOREINFO texts of a right one, for the tests that
// prove that no wrong key costs a page: each key in turn is left out, moved,
// doubled and garbled.
//
// Only tests import it.
package spoil

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Text is a spoiled VMCOREINFO.
type Text struct {
	Key  string // the key that is wrong, e.g. "OFFSET(page.flags)"
	How  string // what was done to it, e.g. "+8"
	Info []byte
}

// String tells what is wrong.
func (t Text) String() string { return t.Key + " " + t.How }

// Ways are what is done to each key; shifts are left out where the value is no
// number.
var Ways = []string{"dropped", "+1", "-1", "+8", "-8", "doubled", "garbled", "zero", "huge"}

// Each gives the texts for the keys that want is true for; nil wants all.
func Each(info []byte, want func(key string) bool) []Text {
	var out []Text
	lines := slices.Collect(strings.Lines(string(info)))
	for i, line := range lines {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || want != nil && !want(key) {
			continue
		}
		for _, how := range Ways {
			if text, ok := spoil(key, value, how); ok {
				all := slices.Clone(lines)
				all[i] = text
				out = append(out, Text{key, how, []byte(strings.Join(all, ""))})
			}
		}
	}
	return out
}

// spoil gives the lines in place of key=value; false when it cannot be done.
func spoil(key, value, how string) (string, bool) {
	line := func(value string) (string, bool) { return key + "=" + value + "\n", true }
	switch how {
	case "dropped":
		return "", true
	case "garbled":
		return line("~" + value)
	case "zero":
		return line("0")
	case "huge":
		if strings.HasPrefix(key, "SYMBOL") {
			return line("fffffffffffffff8")
		}
		return line(strconv.FormatInt(1<<62, 10))
	case "doubled":
		other, ok := shift(key, value, 8)
		if !ok {
			other = value + "~"
		}
		return key + "=" + other + "\n" + key + "=" + value + "\n", true
	}
	by, err := strconv.ParseInt(how, 10, 64)
	if err != nil {
		panic("spoil: unknown way " + how)
	}
	v, ok := shift(key, value, by)
	if !ok {
		return "", false
	}
	return line(v)
}

// shift adds to a number, in the number's own notation.
func shift(key, value string, by int64) (string, bool) {
	if strings.HasPrefix(key, "SYMBOL") || key == "KERNELOFFSET" {
		v, err := strconv.ParseUint(value, 16, 64)
		return fmt.Sprintf("%x", v+uint64(by)), err == nil
	}
	if digits, ok := strings.CutPrefix(value, "0x"); ok {
		v, err := strconv.ParseUint(digits, 16, 64)
		return fmt.Sprintf("%#x", v+uint64(by)), err == nil
	}
	v, err := strconv.ParseInt(value, 10, 64)
	return strconv.FormatInt(v+by, 10), err == nil
}
