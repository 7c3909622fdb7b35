package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/gokdump/gokdump/initramfs"
)

// open reads the one image that args name.
func open(set *flag.FlagSet, args []string) (string, *initramfs.Contents, error) {
	pos, err := parse(set, args, 1)
	if err != nil {
		return "", nil, err
	}
	if len(pos) == 0 {
		return "", nil, misuse("%s: which image?", set.Name())
	}
	f, err := os.Open(pos[0])
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	c, err := initramfs.Read(f)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", pos[0], err)
	}
	return pos[0], c, nil
}

// list shows an image's entries: names, or with -l mode, size in bytes and name.
func (p *program) list(args []string) error {
	set := flag.NewFlagSet("ls", flag.ContinueOnError)
	long := set.Bool("l", false, "")
	_, c, err := open(set, args)
	if err != nil {
		return err
	}
	for _, f := range c.Files {
		if *long {
			fmt.Fprintf(p.stdout, "%v %10d %s\n", f.Mode, len(f.Data), quote(f.Name))
		} else {
			fmt.Fprintln(p.stdout, quote(f.Name))
		}
	}
	if *long {
		fmt.Fprintf(p.stdout, "%d entries, %s, unpacked %s\n", len(c.Files), c.Compression, size(c.Plain))
	}
	return nil
}

// quote keeps a stranger's name from steering the terminal.
func quote(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
		return q
	}
	return s
}

// verify proves an image sound or says everything that is wrong with it.
func (p *program) verify(args []string) error {
	image, c, err := open(flag.NewFlagSet("verify", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	const again = "build the image anew with " + name
	if err := c.Verify(); err != nil {
		return withHint(err, again)
	}
	pl, err := c.Plan()
	if err != nil {
		return withHint(err, again)
	}
	fmt.Fprintf(p.stdout, "%s: sound: kernel %s, %s; %d modules; %s, unpacked %s\n", image, pl.Kernel,
		targets(pl), len(pl.Modules), c.Compression, size(c.Plain))
	return nil
}
