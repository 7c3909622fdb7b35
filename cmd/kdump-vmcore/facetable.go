package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gokdump/gokdump/cmd/kdump-vmcore/getopt"
)

// faceTable has all options of makedumpfile 1.7, so that abbreviations are
// ambiguous where they are there, and an option that is not done is told from
// one that does not exist.
var faceTable = []getopt.Option{
	{Short: 'c'}, {Short: 'l'}, {Short: 'p'}, {Short: 'z'}, {Short: 'd', Arg: true}, {Short: 'L', Arg: true},
	{Short: 'E'}, {Short: 'F'}, {Short: 'R'}, {Short: 'f'}, {Short: 'i', Arg: true}, {Short: 'x', Arg: true},
	{Short: 'D'}, {Short: 'v'}, {Short: 'h', Long: "help"},
	{Long: "split"}, {Long: "reassemble"}, {Long: "dump-dmesg"}, {Long: "mem-usage"}, {Long: "dry-run"},
	{Long: "show-stats"}, {Long: "check-params"}, {Long: "num-threads", Arg: true}, {Long: "message-level", Arg: true},
	// tuning
	{Short: 'b', Arg: true}, {Long: "cyclic-buffer", Arg: true}, {Long: "splitblock-size", Arg: true},
	{Long: "work-dir", Arg: true}, {Long: "non-cyclic"}, {Long: "non-mmap"},
	// not done
	{Short: 'e'}, {Short: 'g', Arg: true}, {Short: 'X'}, {Long: "config", Arg: true}, {Long: "eppic", Arg: true},
	{Long: "extension", Arg: true}, {Long: "xen-syms", Arg: true}, {Long: "xen-vmcoreinfo", Arg: true},
	{Long: "xen_phys_start", Arg: true}, {Long: "diskset", Arg: true}, {Long: "vtop", Arg: true}, {Long: "partial-dmesg"},
}

// notDone says why an option of makedumpfile is an error, and what to do.
func notDone(name string) string {
	switch name {
	case "-e":
		return "parts of vmemmap are never left out: readers need it"
	case "-g":
		return "VMCOREINFO comes with the core; -i takes it from a file"
	case "-X", "--xen-syms", "--xen-vmcoreinfo", "--xen_phys_start":
		return "dumps of the Xen hypervisor are not supported"
	case "--config", "--eppic", "--extension":
		return "erasing data by symbol is not supported"
	case "--diskset":
		return "sadump files are not supported"
	case "--vtop":
		return "use crash or drgn to translate addresses"
	case "--partial-dmesg":
		return "use --dump-dmesg: it writes the whole log"
	}
	return ""
}

func parseBounded(name, s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s %q is not a number from %d to %d", name, s, least, most)
	}
	return n, nil
}

// parseLadder reads the argument of -d.
func parseLadder(s string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(s, ",") {
		n, err := parseBounded("dump level", part, 0, 31)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// parseLimit reads the argument of -L.
func parseLimit(s string) (int64, error) {
	digits, shift := s, 0
	if i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		unit := strings.ToLower(s[i:])
		k := strings.Index("kmgtpe", unit)
		if k < 0 || len(unit) != 1 {
			return 0, fmt.Errorf("size limit %q is not a number of bytes, or of units k, M, G, T, P or E", s)
		}
		digits, shift = s[:i], 10*(k+1)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("size limit %q is not a number of bytes above 0", s)
	}
	return n << shift, nil
}
