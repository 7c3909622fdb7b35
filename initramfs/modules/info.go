package modules

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxInfo bounds a .modinfo section, in bytes. amdgpu, the largest known, has
// about 100 KiB.
const maxInfo = 4 << 20

// Info is what a module says about itself in its .modinfo section.
type Info struct {
	// Machine is the architecture.
	Machine elf.Machine
	// Name is the module's own name; empty before Linux 4.15.
	Name string
	// Depends are the modules whose symbols it uses, canonical.
	Depends []string
	// Pre and Post are soft dependencies: names or aliases to load before and
	// after, where they exist.
	Pre, Post []string
	// Aliases are the patterns that it answers to.
	Aliases []string
	// Firmware are the files, by their names below /lib/firmware, that it may ask for.
	Firmware []string
	// Vermagic is the kernel it was built for: release, then options.
	Vermagic string
}

// ParseInfo reads the .modinfo section of a plain .ko file. The file must be a
// whole 64-bit ELF relocatable file.
func ParseInfo(ko []byte) (*Info, error) { return parseInfo(bytes.NewReader(ko), int64(len(ko))) }

func parseInfo(r io.ReaderAt, size int64) (*Info, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("not a kernel module: %w", err)
	}
	if f.Type != elf.ET_REL || f.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("not a kernel module: ELF %v %v, want a 64-bit relocatable file", f.Class, f.Type)
	}
	var info *elf.Section
	this := false
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL {
			continue
		}
		if s.Offset > uint64(size) || s.FileSize > uint64(size)-s.Offset {
			return nil, fmt.Errorf("cut short: section %s ends at %d, the file at %d", s.Name, s.Offset+s.FileSize, size)
		}
		switch s.Name {
		case ".modinfo":
			info = s
		case ".gnu.linkonce.this_module":
			this = true
		}
	}
	if info == nil || !this {
		return nil, errors.New("not a kernel module: no .modinfo or no .gnu.linkonce.this_module section")
	}
	if info.FileSize > maxInfo || info.Flags&elf.SHF_COMPRESSED != 0 {
		return nil, fmt.Errorf(".modinfo has %d bytes, flags %v: want at most %d, not compressed", info.FileSize, info.Flags, maxInfo)
	}
	text, err := info.Data()
	if err != nil {
		return nil, fmt.Errorf("read .modinfo: %w", err)
	}
	i := &Info{Machine: f.Machine}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if key, value, ok := strings.Cut(entry, "="); ok {
			i.set(key, value)
		}
	}
	return i, nil
}

func (i *Info) set(key, value string) {
	switch key {
	case "name":
		i.Name = value
	case "vermagic":
		i.Vermagic = value
	case "firmware":
		i.Firmware = append(i.Firmware, value)
	case "alias":
		i.Aliases = append(i.Aliases, value)
	case "depends":
		for d := range strings.SplitSeq(value, ",") {
			if d = strings.TrimSpace(d); d != "" {
				i.Depends = append(i.Depends, Canonical(d))
			}
		}
	case "softdep":
		// "pre: a b post: c", modprobe.d(5).
		into := (*[]string)(nil)
		for _, w := range strings.Fields(value) {
			switch w {
			case "pre:":
				into = &i.Pre
			case "post:":
				into = &i.Post
			default:
				if into != nil {
					*into = append(*into, w)
				}
			}
		}
	}
}

// BuiltFor is the kernel release in the vermagic; empty when there is none.
func (i *Info) BuiltFor() string {
	release, _, _ := strings.Cut(i.Vermagic, " ")
	return release
}
