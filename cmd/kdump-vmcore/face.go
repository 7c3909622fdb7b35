package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// faceName is the name under which the command takes makedumpfile's options.
const faceName = "makedumpfile"

const faceUsage = `usage: makedumpfile [OPTION...] VMCORE DUMPFILE
       makedumpfile -F [OPTION...] VMCORE
       makedumpfile -R [-f] DUMPFILE
       makedumpfile --split [OPTION...] VMCORE DUMPFILE1 DUMPFILE2...
       makedumpfile --reassemble DUMPFILE1 DUMPFILE2... DUMPFILE
       makedumpfile --dump-dmesg [-f] VMCORE LOGFILE
       makedumpfile --dump-dmesg -F VMCORE
       makedumpfile --mem-usage /proc/kcore

This is kdump-vmcore with the options of makedumpfile 1.7. What the options have
in common with that program is their meaning; what is printed is not the same.

  -c, -l, -p, -z         compress with zlib, LZO, snappy, zstd; the last one counts
                         (default: pages are not compressed)
  -d LEVEL[,LEVEL...]    what to leave out, the sum of: 1 pages of zeros, 2 page
                         cache, 4 page cache with private data too, 8 user
                         memory, 16 free pages (default 0). Each next level is
                         tried when the disk or the limit of -L is full
  -L SIZE                the dump may not be larger than SIZE bytes, or with a
                         letter behind it KiB (k), MiB (M), GiB (G), TiB (T)
  -E                     write an ELF core; not with compression
  -F                     write a flattened dump, or the log, to standard output
  -R                     make a dump of a flattened one from standard input
  -f                     overwrite what is there
  -i FILE                take VMCOREINFO from FILE
  -x VMLINUX             refuse a core that is not of this kernel (exit code 2)
  --split, --reassemble  write a set of files, or make one file of it
  --num-threads N        goroutines that read and compress (default: all CPUs)
  --dump-dmesg           write the log of the crashed kernel
  --mem-usage            count the pages of each kind
  --dry-run              do all but writing, and tell the size
  --show-stats           print a report, as bit 16 of --message-level does
  --message-level BITS   the sum of: 1 progress, 2 common messages, 4 errors,
                         8 debugging, 16 report (default 7)
  -D                     print all messages
  --check-params         only check the command line
  -h, --help             print this
  -v                     print the version

Options that only tune makedumpfile are taken and have no effect: -b,
--cyclic-buffer, --splitblock-size, --work-dir, --non-cyclic, --non-mmap.
DUMPFILE is DUMPFILE.incomplete until it is whole; one that had to end early has
its name, and says in its header that it is incomplete.

exit codes: 0 done, 1 failed or incomplete, 2 the core is of another kernel
`

// Message levels, as --message-level has them.
const (
	levelProgress = 1
	levelCommon   = 2
	levelError    = 4
	levelDebug    = 8
	levelReport   = 16
	levelDefault  = levelProgress | levelCommon | levelError
	levelAll      = 31
)

// exitMismatch is the face's exit code for a core of another kernel.
const exitMismatch = 2

// face is one run under the name of makedumpfile.
type face struct {
	*cli
	opt  faceOptions
	last time.Time // of the progress line
	step string    // that it is about
	full string    // the step that it called finished last
}

func runFace(ctx context.Context, c *cli, args []string) int {
	f := &face{cli: c, opt: faceOptions{messages: levelDefault}}
	err := f.opt.parse(args)
	switch {
	case err == nil && f.opt.help:
		fmt.Fprint(c.stdout, faceUsage)
		return exitOK
	case err == nil && f.opt.version:
		fmt.Fprint(c.stdout, version())
		return exitOK
	case err != nil:
		f.error(err)
		f.print(levelError, c.stderr, "hint: makedumpfile --help tells which options there are\n")
		return exitFailed
	case f.opt.check:
		return exitOK
	}
	for _, o := range f.opt.tuning {
		f.debug("%s has no effect here", o)
	}
	run := map[faceMode]func(context.Context) error{
		modeDump: f.dump, modeSplit: f.dump, modeReassemble: f.reassemble,
		modeUnflatten: f.unflatten, modeDmesg: f.dmesg, modeMemUsage: f.memUsage,
	}[f.opt.mode]
	err = run(ctx)
	f.endProgress()
	var other mismatchError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &other):
		f.error(err)
		return exitMismatch
	}
	f.error(err)
	if h := faceHint(err); h != "" {
		f.print(levelError, c.stderr, "hint: %s\n", h)
	}
	return exitFailed
}

// faceHint is hint for those who type makedumpfile's options.
func faceHint(err error) string {
	h := hint(err)
	if strings.Contains(h, "--") && !strings.Contains(h, "kdump-vmcore ") { // it names an option of other commands
		return "kdump-vmcore dump has more options: " + h
	}
	return h
}

// version is what -v prints: the lines about codecs are what scripts look for.
func version() string {
	v := "(devel)"
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		v = b.Main.Version
	}
	return fmt.Sprintf("makedumpfile: options of version 1.7, by kdump-vmcore of gokdump %s\nlzo\tenabled\nsnappy\tenabled\nzstd\tenabled\n", v)
}
