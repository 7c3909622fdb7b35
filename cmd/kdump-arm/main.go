// Command kdump-arm loads the crash kernel, unloads it, and tells whether a panic
// would leave a dump. The work is done by package arm; this command owns the
// flags, the words on the terminal and the exit codes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/arm"
	"github.com/gokdump/gokdump/arm/kexec"
)

const usage = `Usage:
  kdump-arm load [flags]      load the crash kernel; a panic then boots it
  kdump-arm unload            unload it; a panic then leaves no dump
  kdump-arm status [--json]   tell whether a panic would leave a dump
  kdump-arm check [flags]     try the image's targets: log in, look for room
  kdump-arm recover [flags]   copy dumps off the raw devices that /etc/kdump.conf
                              names, into the directory that it names (/var/crash)
  kdump-arm notify            post the reports that were not posted yet (notify)
  kdump-arm prune [--dry-run] remove old dumps (keep, keep_free)

Flags of load:
  --kernel FILE   crash kernel (default /boot/vmlinuz-RELEASE of the running kernel)
  --image FILE    crash image (default /var/lib/gokdump/kdump-RELEASE.img)
  --config FILE   configuration that the image was built from; only watched for
                  changes (default /etc/kdump.conf)
  --append WORDS  add WORDS to the crash kernel's command line; may be repeated
  --remove WORDS  leave words out: NAME, NAME=VALUE or NAME*; may be repeated
  --cpus N        CPUs that the crash kernel starts (default 1)
  --force         load also what seems not to fit or not to match
  --dry-run       show the command line and the checks, load nothing
  --no-check      do not try the image's targets afterwards, as check does

Flags of check:
  --image FILE    crash image (default what is loaded)

Flags of recover:
  --config FILE   configuration (default /etc/kdump.conf)
  --to DIR        copy into DIR instead

Flags of notify and prune:
  --config FILE   configuration with the rules (default /etc/kdump.conf)
  --dir DIR       where dumps lie, instead of where the configuration's targets
                  are mounted; may be repeated

A load that fails puts the last good pair back if nothing else is armed.

Exit codes of load, unload, check, recover, notify and prune:
  0 done   1 failed   2 wrong usage   3 no memory is reserved (crashkernel=)
Exit codes of status:
  0 armed and current          1 armed, but stale or unknown   2 not armed
  3 no memory is reserved      4 cannot tell, or wrong usage
`

// Exit codes.
const (
	exitOK            = 0
	exitFailed        = 1
	exitUsage         = 2
	exitNoReservation = 3

	exitStale       = 1
	exitNotArmed    = 2
	exitUnknown     = 4
	lockWait        = time.Minute
	defaultConfig   = "/etc/kdump.conf"
	needsRootAdvice = "run it as root"
)

// program is the command with what it touches.
type program struct {
	host           arm.Host
	euid           int
	stdout, stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{
		host:   arm.Host{Kexec: kexec.Syscall{}, Inspect: inspect},
		euid:   os.Geteuid(),
		stdout: os.Stdout,
		stderr: os.Stderr,
	}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func (p *program) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(p.stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "load":
		return p.load(ctx, args[1:])
	case "unload":
		return p.unload(ctx, args[1:])
	case "status":
		return p.status(ctx, args[1:])
	case "check":
		return p.check(ctx, args[1:])
	case "recover":
		return p.recover(ctx, args[1:])
	case "notify":
		return p.notify(ctx, args[1:])
	case "prune":
		return p.prune(ctx, args[1:])
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.stdout, usage)
		return exitOK
	}
	return p.wrongUsage(exitUsage, "unknown command %q", args[0])
}

// parse reads the flags of one command; done is true when there is nothing
// left to do but to exit with code.
func (p *program) parse(fs *flag.FlagSet, args []string, wrong int) (code int, done bool) {
	fs.SetOutput(io.Discard)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.stdout, usage)
		return exitOK, true
	case err != nil:
		return p.wrongUsage(wrong, "%s: %v", fs.Name(), err), true
	case fs.NArg() > 0:
		return p.wrongUsage(wrong, "%s: unexpected %q", fs.Name(), fs.Arg(0)), true
	}
	return 0, false
}

func (p *program) wrongUsage(code int, format string, a ...any) int {
	fmt.Fprintf(p.stderr, "kdump-arm: error: "+format+"\n", a...)
	p.hint("kdump-arm --help shows the usage")
	return code
}

// fail reports err and what to do next.
func (p *program) fail(err error) int {
	cause := err
	var le *arm.LoadError
	if errors.As(err, &le) {
		cause = le.Err
	}
	fmt.Fprintf(p.stderr, "kdump-arm: error: %v\n", cause)
	if le != nil {
		fmt.Fprintf(p.stderr, "kdump-arm: %s\n", le.State())
	}
	switch next := arm.Hint(err); {
	case next != "":
		p.hint(next)
	case errors.Is(err, os.ErrPermission):
		p.hint(needsRootAdvice)
	}
	if errors.Is(err, arm.ErrNoReservation) {
		return exitNoReservation
	}
	return exitFailed
}

func (p *program) hint(text string) { fmt.Fprintf(p.stderr, "kdump-arm: hint: %s\n", text) }

func (p *program) warn(text string) { fmt.Fprintf(p.stderr, "kdump-arm: warning: %s\n", text) }

// needRoot says no to anybody but root.
func (p *program) needRoot(command string) bool {
	if p.euid == 0 {
		return false
	}
	fmt.Fprintf(p.stderr, "kdump-arm: error: %s needs root\n", command)
	p.hint("sudo kdump-arm " + command)
	return true
}

// words is a flag that may be repeated; its values are joined by spaces.
type words []string

func (w *words) String() string { return strings.Join(*w, " ") }

func (w *words) Set(s string) error {
	*w = append(*w, s)
	return nil
}
