package main

import (
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// maxKinds bounds how many kinds of notes are listed.
const maxKinds = 16

// addNotes lists the notes by kind and counts the CPUs that have registers.
func (i *coreInfo) addNotes(src vmcore.Source) {
	var kinds []string
	count := map[string]int{}
	for n := range vmcore.EachNote(src.Notes()) {
		if n.Name == "CORE" && n.Type == vmcore.NotePRStatus {
			i.CPUs++
		}
		kind := fmt.Sprintf("%.40q type %d", n.Name, n.Type)
		if _, ok := count[kind]; !ok && len(kinds) < maxKinds {
			kinds = append(kinds, kind)
		}
		count[kind]++
	}
	for _, k := range kinds {
		i.Notes = append(i.Notes, fmt.Sprintf("%d x %s", count[k], k))
	}
	if len(count) > len(kinds) {
		i.Notes = append(i.Notes, "others")
	}
}

// addHeader adds what only a kdump-compressed file tells.
func (i *coreInfo) addHeader(src vmcore.Source) {
	k, ok := src.(vmcore.Kdump)
	if !ok {
		return
	}
	h := k.Header()
	stored := k.Stored().Len()
	i.Level, i.Stored = &h.DumpLevel, &stored
	i.Codec = codecNames(h.Status)
	i.Incomplete = h.Status&kdumpfmt.FlagIncomplete != 0
	if i.Incomplete {
		i.Problems = append(i.Problems, "the header says that the dump is incomplete: pages that belong in it may be missing")
	}
	if h.Split != 0 {
		i.Problems = append(i.Problems, fmt.Sprintf("one file of a split dump: it has the pages from pfn %#x to %#x alone", h.StartPFN, h.EndPFN))
	}
	i.Release, i.Version, i.Host = printable(h.Uname.Release), printable(h.Uname.Version), printable(h.Uname.Nodename)
}

// codecNames tells what a header's status says of compression. Pages may differ:
// their descriptors decide.
func codecNames(status uint32) string {
	var names []string
	for _, c := range []struct {
		flag uint32
		name string
	}{{kdumpfmt.FlagZlib, "zlib"}, {kdumpfmt.FlagLZO, "lzo"}, {kdumpfmt.FlagSnappy, "snappy"}, {kdumpfmt.FlagZstd, "zstd"}} {
		if status&c.flag != 0 {
			names = append(names, c.name)
		}
	}
	if names == nil {
		return "not compressed"
	}
	return strings.Join(names, "+")
}

// machineName is what uname -m says on such a machine.
func machineName(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86_64"
	case elf.EM_AARCH64:
		return "aarch64"
	case elf.EM_NONE:
		return "unknown"
	}
	return strings.ToLower(strings.TrimPrefix(m.String(), "EM_"))
}

// printable makes a string from memory fit for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func sortedKeys(m map[string]uint64) []string { return slices.Sorted(maps.Keys(m)) }
