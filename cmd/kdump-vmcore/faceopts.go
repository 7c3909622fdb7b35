package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/cmd/kdump-vmcore/getopt"
)

// faceMode is what is to be done.
type faceMode int

const (
	modeDump faceMode = iota
	modeSplit
	modeReassemble
	modeUnflatten
	modeDmesg
	modeMemUsage
)

// faceOptions is a command line of makedumpfile.
type faceOptions struct {
	mode       faceMode
	codec      codec.ID
	compressed bool
	levels     []int // to be tried in this order; at least one
	limit      int64 // bytes; 0 is none
	elf, flat  bool
	force      bool
	threads    int // 0 is one for each CPU
	vmcoreinfo string
	vmlinux    string
	messages   int // bits
	dryRun     bool
	check      bool
	help       bool
	version    bool
	tuning     []string // options that have no effect
	operands   []string
}

// parse fills o from a command line and checks it.
func (o *faceOptions) parse(args []string) error {
	given, operands, err := getopt.Parse(faceTable, args)
	if err != nil {
		return err
	}
	o.operands = operands
	modes := map[faceMode]string{}
	for _, g := range given {
		if why := notDone(g.Name()); why != "" {
			return fmt.Errorf("option %s is not done: %s", g.Name(), why)
		}
		if err := o.set(g, modes); err != nil {
			return err
		}
	}
	if o.help || o.version {
		return nil
	}
	if len(modes) > 1 {
		var names []string
		for _, n := range modes {
			names = append(names, n)
		}
		return fmt.Errorf("options exclude each other: %s", strings.Join(names, " "))
	}
	for m := range modes {
		o.mode = m
	}
	if len(o.levels) == 0 {
		o.levels = []int{0}
	}
	return o.validate()
}

// set takes one option.
func (o *faceOptions) set(g getopt.Given, modes map[faceMode]string) (err error) {
	switch name := g.Name(); name {
	case "-c", "-l", "-p", "-z":
		o.compressed = true
		o.codec = map[string]codec.ID{"-c": codec.Zlib, "-l": codec.LZO, "-p": codec.Snappy, "-z": codec.Zstd}[name]
	case "-d":
		o.levels, err = parseLadder(g.Value)
	case "-L":
		o.limit, err = parseLimit(g.Value)
	case "-E":
		o.elf = true
	case "-F":
		o.flat = true
	case "-R":
		modes[modeUnflatten] = name
	case "-f":
		o.force = true
	case "-i":
		o.vmcoreinfo = g.Value
	case "-x":
		o.vmlinux = g.Value
	case "-D":
		o.messages = levelAll
	case "-v":
		o.version = true
	case "--help":
		o.help = true
	case "--split":
		modes[modeSplit] = name
	case "--reassemble":
		modes[modeReassemble] = name
	case "--dump-dmesg":
		modes[modeDmesg] = name
	case "--mem-usage":
		modes[modeMemUsage] = name
	case "--dry-run":
		o.dryRun = true
	case "--show-stats":
		o.messages |= levelReport
	case "--check-params":
		o.check = true
	case "--num-threads":
		o.threads, err = parseBounded(name, g.Value, 0, maxWorkers)
	case "--message-level":
		var bits int
		if bits, err = parseBounded(name, g.Value, 0, levelAll); err == nil {
			o.messages = bits
		}
	default:
		o.tuning = append(o.tuning, name)
	}
	return err
}

// validate checks what goes together.
func (o *faceOptions) validate() error {
	least, most := 2, 2
	switch o.mode {
	case modeDump, modeDmesg:
		if o.flat {
			least, most = 1, 1
		}
	case modeUnflatten, modeMemUsage:
		least, most = 1, 1
	case modeSplit:
		least, most = 3, maxParts+1
	case modeReassemble:
		least, most = 2, maxParts+1
	}
	switch n := len(o.operands); {
	case n < least:
		return fmt.Errorf("%d files needed, %d given", least, n)
	case n > most:
		return fmt.Errorf("too many files: %s", strings.Join(o.operands[most:], " "))
	case o.elf && o.compressed:
		return errors.New("an ELF core is not compressed: leave out -E, or -c, -l, -p and -z")
	case o.elf && o.mode == modeSplit:
		return errors.New("only kdump-compressed dumps can be split: leave out -E")
	case o.elf && o.threads != 0:
		return errors.New("--num-threads is for kdump-compressed dumps: leave out -E")
	case o.mode == modeSplit && o.threads != 0:
		return errors.New("--num-threads and --split exclude each other")
	case o.flat && o.mode != modeDump && o.mode != modeDmesg:
		return errors.New("-F goes with a dump or with --dump-dmesg only")
	case o.compressed && o.mode == modeUnflatten:
		return errors.New("-R takes the dump as it is: leave out -c, -l, -p and -z")
	case o.dryRun && (o.mode == modeUnflatten || o.mode == modeReassemble || o.mode == modeMemUsage):
		return errors.New("--dry-run goes with a dump only")
	}
	return nil
}
