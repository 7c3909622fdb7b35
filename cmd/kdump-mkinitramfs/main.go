// Command kdump-mkinitramfs builds the crash image, lists one and proves one sound.
// The work is done by package initramfs; this command owns the flags, what is
// asked of the running host, and the words on the terminal.
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
)

const usage = `Usage:
  kdump-mkinitramfs [flags]            build the crash image
  kdump-mkinitramfs ls [-l] IMAGE      list what is in an image
  kdump-mkinitramfs verify IMAGE       prove that an image is sound
  kdump-mkinitramfs presign -o FILE [flags] https://HOST/BUCKET/PREFIX
                                       make the URLs with which one crash can be sent to
                                       a store without a key; see s3_credentials

Flags of building:
  -o IMAGE            where to write (default /var/lib/gokdump/kdump-RELEASE.img)
  --kernel RELEASE    crash kernel, as uname -r prints it (default: the running one)
  --root DIR          take the kernel's modules, configuration and kdump.conf from under DIR, for
                      another machine; the running host is then not looked at
  --config FILE       configuration (default /etc/kdump.conf, which may be absent)
  --compress NAME     zstd, gzip, xz, lz4 or none (default: what the kernel unpacks)
  --drivers A,B,...   disk drivers to put in, instead of those of the target's disk
  --init FILE         the program to start (default: kdump-init beside this program,
                      in ../lib/gokdump, or in /usr/lib/gokdump)
  --host NAME         name of the machine, for the names of dumps
  --network WORDS     what the crash kernel's network is, in place of what the file says:
                      auto, or as behind the word network in kdump.conf
  --reservation SIZE  memory that crashkernel= reserves, as 256M; an image that does not
                      fit is refused (default: what the running host reserves)
  --if-needed         write nothing when the image is already what would be built
  -v                  say what goes into the image

Flags of presign, which is for whoever has the key:
  --credentials FILE  the key, as in ~/.aws/credentials, which is the default
  --profile NAME      which one in that file (default)
  --size SIZE         the most that the dump may have, up to 5G (default 2G)
  --valid DURATION    how long the URLs are good for (default 168h, which is the most)
  --encrypted         for a configuration with recipient
  --region NAME, --ca FILE, --style path|virtual   as s3_region, s3_ca and s3_style

The file /etc/kdump.conf takes: ext4|xfs|btrfs UUID=...|LABEL=...|PARTUUID=...|PARTLABEL=...|/dev/...,
btrfs ... subvol=NAME, raw PARTUUID=...|PARTLABEL=...|/dev/...,
nfs HOST:/EXPORT, nfs_version, nfs_options, ssh USER@HOST, ssh_port, sshkey, ssh_known_hosts,
s3 https://HOST/BUCKET, s3_credentials, s3_region, s3_ca, s3_style, network, vlan, bond, route, nameserver,
path, level, codec, core_collector makedumpfile, failure_action, final_action, extra_modules, host, timeout,
recipient, luks_key, notify, notify_ca, notify_token, keep, keep_free, loop_guard; see kdump.conf(5).
Without a target in it, dumps go to the file system of this host that holds path (/var/crash).

Exit codes:
  0 done   1 failed or not sound   2 wrong usage
`

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

const name = "kdump-mkinitramfs"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr}
	err := p.dispatch(ctx, args)
	var use *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case errors.As(err, &use):
		p.say("error", use.text)
		p.say("hint", name+" --help shows the usage")
		return exitUsage
	}
	p.say("error", err.Error())
	if hint := advice(err); hint != "" {
		p.say("hint", hint)
	}
	return exitFailed
}

// program is where the command writes.
type program struct{ stdout, stderr io.Writer }

// say writes each line of text to stderr behind its kind.
func (p *program) say(kind, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(p.stderr, "%s: %s: %s\n", name, kind, line)
	}
}

func (p *program) dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "ls":
			return p.list(args[1:])
		case "verify":
			return p.verify(args[1:])
		case "presign":
			return p.presign(ctx, args[1:])
		case "build":
			return p.build(ctx, args[1:])
		case "help":
			return flag.ErrHelp
		}
	}
	return p.build(ctx, args)
}

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func misuse(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// parse reads flags before and after up to max positional arguments.
func parse(fs *flag.FlagSet, args []string, max int) ([]string, error) {
	fs.SetOutput(io.Discard)
	var pos []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, misuse("%v", err)
		}
		if fs.NArg() == 0 {
			return pos, nil
		}
		if len(pos) == max {
			return nil, misuse("unexpected argument %q", fs.Arg(0))
		}
		pos = append(pos, fs.Arg(0))
		args = fs.Args()[1:]
	}
}
