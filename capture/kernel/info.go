package kernel

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a VMCOREINFO text. The kernel's own is one page, at most 64 KiB.
const (
	maxInfo      = 1 << 20
	maxMalformed = 16
)

// Info is a parsed VMCOREINFO note. It does not change once made and may be
// shared by goroutines.
type Info struct {
	Release   string // OSRELEASE, as uname -r; "" when it is missing
	PageSize  uint64 // bytes, a power of two from 4096 to 65536
	CrashTime int64  // seconds since the epoch; 0 when unknown
	BuildID   string // of the kernel, in hex; "" when unknown (before 5.9)
	// Malformed quotes the lines that could not be understood, at most 16 of
	// them, each cut to 80 bytes.
	Malformed []string

	unsigned map[string]uint64 // SYMBOL, OFFSET, SIZE, LENGTH by whole key
	numbers  map[string]int64
	text     map[string]string
}

// ParseInfo parses the text of a VMCOREINFO note: lines of KEY=value. Lines of
// unknown keys are kept for [Info.Text]; malformed lines are skipped and
// reported in Malformed. A key with two values has none, and is reported too; so
// is a missing OSRELEASE, and a PAGESIZE that is missing or absurd where another
// key tells of x86-64, whose pages are 4096 bytes. It is an error when nothing
// tells the page size, or when there is no key of any kernel.
func ParseInfo(text []byte) (*Info, error) {
	if len(text) > maxInfo {
		return nil, fmt.Errorf("vmcoreinfo: text of %d bytes is longer than %d", len(text), maxInfo)
	}
	i := &Info{unsigned: map[string]uint64{}, numbers: map[string]int64{}, text: map[string]string{}}
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" || !i.add(key, value) {
			i.malformed(line)
		}
	}
	return i, i.check()
}

func (i *Info) malformed(line string) {
	if len(i.Malformed) < maxMalformed {
		i.Malformed = append(i.Malformed, line[:min(len(line), 80)])
	}
}

// add stores one line; false when the value is none of its kind or differs
// from an earlier one.
func (i *Info) add(key, value string) bool {
	if old, ok := i.text[key]; ok {
		if old == value {
			return true
		}
		// one of them is wrong, and nothing says which
		delete(i.unsigned, key)
		delete(i.numbers, key)
		return false
	}
	i.text[key] = value
	kind, rest, ok := strings.Cut(key, "(")
	if !ok || !strings.HasSuffix(rest, ")") {
		return true
	}
	switch kind {
	case "SYMBOL":
		v, err := strconv.ParseUint(strings.TrimPrefix(value, "0x"), 16, 64)
		if err != nil {
			return false
		}
		i.unsigned[key] = v
	case "OFFSET", "SIZE", "LENGTH":
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil || v < -1 {
			return false
		}
		if v >= 0 { // -1 stands for absent
			i.unsigned[key] = uint64(v)
		}
	case "NUMBER":
		v, err := parseNumber(value)
		if err != nil {
			return false
		}
		if v != -1 {
			i.numbers[key] = v
		}
	}
	return true
}

// parseNumber reads a NUMBER: signed decimal, or hex, which most keys of that
// kind mark with 0x. Unsigned values wrap.
func parseNumber(s string) (int64, error) {
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, nil
	}
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return int64(v), nil
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	return int64(v), err
}

func (i *Info) check() error {
	i.Release = i.text["OSRELEASE"]
	if i.Release == "" {
		if len(i.unsigned) == 0 {
			return fmt.Errorf("vmcoreinfo: no OSRELEASE in %d lines", len(i.text))
		}
		i.malformed("OSRELEASE is missing: the kernel's version is not known")
	}
	i.Release = i.Release[:min(len(i.Release), 64)]
	size, err := strconv.ParseUint(i.text["PAGESIZE"], 10, 64)
	sound := err == nil && size >= 4096 && size <= 65536 && size&(size-1) == 0
	if _, x86 := i.Number("phys_base"); x86 && !sound {
		i.malformed(fmt.Sprintf("PAGESIZE is %.20q: 4096 is taken, as on all of x86-64", i.text["PAGESIZE"]))
		size, err = 4096, nil
	}
	if err != nil {
		return fmt.Errorf("vmcoreinfo: PAGESIZE is %.20q, not a number", i.text["PAGESIZE"])
	}
	if size < 4096 || size > 65536 || size&(size-1) != 0 {
		return fmt.Errorf("vmcoreinfo: PAGESIZE is %d, want a power of two from 4096 to 65536", size)
	}
	i.PageSize = size
	if t, err := strconv.ParseInt(i.text["CRASHTIME"], 10, 64); err == nil && t > 0 {
		i.CrashTime = t
	}
	i.BuildID = i.text["BUILD-ID"]
	i.BuildID = i.BuildID[:min(len(i.BuildID), 128)]
	return nil
}

// Symbol is the virtual address of a symbol, from SYMBOL(name); ok is false
// when the kernel did not print it.
func (i *Info) Symbol(name string) (va uint64, ok bool) { return i.get("SYMBOL", name) }

// Offset is the offset of a member in bytes, from OFFSET(struct.member).
func (i *Info) Offset(name string) (bytes uint64, ok bool) { return i.get("OFFSET", name) }

// Size is the size of a type in bytes, from SIZE(name).
func (i *Info) Size(name string) (bytes uint64, ok bool) { return i.get("SIZE", name) }

// Length is the number of elements of an array, from LENGTH(name).
func (i *Info) Length(name string) (n uint64, ok bool) { return i.get("LENGTH", name) }

func (i *Info) get(kind, name string) (uint64, bool) {
	v, ok := i.unsigned[kind+"("+name+")"]
	return v, ok
}

// Number is a constant or variable, from NUMBER(name). A value of -1 counts as
// not there, as it does in the field.
func (i *Info) Number(name string) (int64, bool) {
	v, ok := i.numbers["NUMBER("+name+")"]
	return v, ok
}

// Text is the value of any key as it stands in the text.
func (i *Info) Text(key string) (string, bool) {
	v, ok := i.text[key]
	return v, ok
}

// atLeast compares the release with a version by its first two numbers. A
// release that does not start with two numbers counts as newer than any.
func (i *Info) atLeast(major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(i.Release, "%d.%d", &a, &b); n < 2 {
		return true
	}
	return a > major || a == major && b >= minor
}
