package spoil

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shifts are what [Thorough] adds to each number: a member more or less, a word, a
// cache line.
var Shifts = []int64{-64, -32, -24, -16, -8, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 8, 16, 24, 32, 64}

// Thorough gives all texts of [Each], and besides: each number moved by each of
// [Shifts], each number of a flag set to each bit that there is, and each two keys
// of a kind with each other's value.
func Thorough(info []byte, want func(key string) bool) []Text {
	out := Each(info, want)
	type entry struct {
		at         int
		key, value string
	}
	var all []entry
	lines := slices.Collect(strings.Lines(string(info)))
	for i, line := range lines {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok && (want == nil || want(key)) {
			all = append(all, entry{i, key, value})
		}
	}
	with := func(key, how string, change map[int]string) {
		text := slices.Clone(lines)
		for i, line := range change {
			text[i] = line
		}
		out = append(out, Text{key, how, []byte(strings.Join(text, ""))})
	}
	for i, e := range all {
		seen := map[string]bool{e.value: true, "": true}
		try := func(how, value string) {
			if !seen[value] {
				seen[value] = true
				with(e.key, how, map[int]string{e.at: e.key + "=" + value + "\n"})
			}
		}
		for _, by := range Shifts {
			if v, ok := shift(e.key, e.value, by); ok && !slices.Contains(Ways, fmt.Sprintf("%+d", by)) {
				try(fmt.Sprintf("%+d", by), v)
			}
		}
		for bit := range 64 {
			switch {
			case e.key == "NUMBER(PG_head_mask)":
				try(fmt.Sprintf("1<<%d", bit), strconv.FormatInt(1<<bit, 10))
			case strings.HasPrefix(e.key, "NUMBER(PG_"):
				try(fmt.Sprintf("%d", bit), strconv.Itoa(bit))
			case strings.HasSuffix(e.key, "_MAPCOUNT_VALUE)") && bit < 16: // each type there is
				try(fmt.Sprintf("type %#x", 0xf0+bit), strconv.Itoa((bit-16)<<24))
				try(fmt.Sprintf("bit %d", bit), strconv.Itoa(^(1 << bit)))
			}
		}
		for _, o := range all[i+1:] {
			if e.value != o.value && kind(e.key) != "" && kind(e.key) == kind(o.key) {
				with(e.key, "swapped with "+o.key, map[int]string{e.at: e.key + "=" + o.value + "\n", o.at: o.key + "=" + e.value + "\n"})
			}
		}
	}
	return out
}

// kind is the class of a key: only numbers of one class are mistaken for each other.
func kind(key string) string {
	kind, rest, ok := strings.Cut(key, "(")
	if ok && kind == "OFFSET" {
		of, _, _ := strings.Cut(rest, ".")
		return kind + of
	}
	if !ok {
		return ""
	}
	return kind
}
