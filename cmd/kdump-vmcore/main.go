// Kdump-vmcore filters, inspects and checks crash dumps of Linux on any machine.
// Its work is done by the packages under capture, the same that run in the crash
// kernel; here are flags, messages and exit codes only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
)

const usage = `usage: kdump-vmcore COMMAND [FLAG...] FILE...

Filters, inspects and checks crash dumps of Linux: ELF cores (/proc/vmcore, its
copies, and those of QEMU and libvirt) and kdump-compressed files, all of them
flattened too.

  dump        filter and compress a core
  convert     write a core in another format: ELF, kdump-compressed, flattened
  split       write a dump as several files
  reassemble  make one file of those
  info        tell what a core is and why its kernel died
  dmesg       show the log of the crashed kernel
  verify      check a core from end to end
  decrypt     decrypt a dump that was encrypted to a public key
  makedumpfile
              take the options of that program; so does kdump-vmcore itself when
              it is called by that name

kdump-vmcore COMMAND --help tells more. Messages go to stderr, results to stdout.

exit codes:
  0  complete
  1  failed
  2  wrong usage
  3  incomplete, but usable
`

// Exit codes, as documented in usage.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitIncomplete = 3
)

var commands = map[string]func(context.Context, *cli, []string) int{
	"dump":         runDump,
	"convert":      runConvert,
	"split":        runSplit,
	"reassemble":   runReassemble,
	"info":         runInfo,
	"dmesg":        runDmesg,
	"verify":       runVerify,
	"decrypt":      runDecrypt,
	"makedumpfile": runFace,
}

// gcPercent is how much garbage may be there for each part of what is in use. Nearly
// all of it is bitmaps, which the collector does not look into: so it is cheap.
const gcPercent = 25

func main() {
	debug.SetGCPercent(gcPercent)
	// The first signal asks for an end in good order, the second one kills.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	c := &cli{stdout: os.Stdout, stderr: os.Stderr}
	if filepath.Base(os.Args[0]) == faceName {
		os.Exit(runFace(ctx, c, os.Args[1:]))
	}
	os.Exit(c.run(ctx, os.Args[1:]))
}

// cli is where a command talks to. Output rules: results to stdout, everything
// else to stderr; an error is one line that starts with "kdump-vmcore: error:",
// followed by a line that says what can be done about it.
type cli struct {
	stdout, stderr io.Writer
}

func (c *cli) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(c.stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		fmt.Fprint(c.stdout, usage)
		return exitOK
	}
	cmd, ok := commands[args[0]]
	if !ok {
		return c.usageError("", fmt.Errorf("there is no command %q", args[0]))
	}
	return cmd(ctx, c, args[1:])
}

// parse parses the flags of a command, which may stand before, between and behind
// its files, and checks the number of files. With done, the command returns code.
func (c *cli) parse(fs *flag.FlagSet, text string, args []string, least, most int) (files []string, code int, done bool) {
	fs.Init(fs.Name(), flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(c.stdout, text)
			return nil, exitOK, true
		} else if err != nil {
			return nil, c.usageError(fs.Name(), err), true
		}
		rest := fs.Args()
		if len(rest) == 0 {
			break
		}
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			files = append(files, rest...)
			break
		}
		files, args = append(files, rest[0]), rest[1:]
	}
	switch {
	case len(files) < least:
		return nil, c.usageError(fs.Name(), fmt.Errorf("%d files needed, %d given", least, len(files))), true
	case len(files) > most:
		return nil, c.usageError(fs.Name(), fmt.Errorf("too many files: %s", strings.Join(files[most:], " "))), true
	}
	return files, 0, false
}

func (c *cli) usageError(command string, err error) int {
	fmt.Fprintf(c.stderr, "kdump-vmcore: error: %v\n", err)
	fmt.Fprintf(c.stderr, "hint: %s\n", strings.Join(strings.Fields("kdump-vmcore "+command+" --help"), " "))
	return exitUsage
}

// fail reports err and what can be done about it.
func (c *cli) fail(err error) int {
	fmt.Fprintf(c.stderr, "kdump-vmcore: error: %v\n", err)
	if h := hint(err); h != "" {
		fmt.Fprintf(c.stderr, "hint: %s\n", h)
	}
	return exitFailed
}

func (c *cli) warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(c.stderr, "kdump-vmcore: warning: %s\n", w)
	}
}

// note tells what is good to know and no reason to worry.
func (c *cli) note(lines []string) {
	for _, l := range lines {
		fmt.Fprintf(c.stderr, "kdump-vmcore: note: %s\n", l)
	}
}
