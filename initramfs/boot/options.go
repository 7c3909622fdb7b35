package boot

import "github.com/u-root/u-root/pkg/cmdline"

// Options are what a person may ask of kdump-init on the capture kernel's
// command line.
type Options struct {
	// Shell is gokdump.shell: a failure ends in the rescue console, whatever
	// the plan says.
	Shell bool
	// Debug is gokdump.debug: log details.
	Debug bool
}

// ReadOptions reads the running kernel's command line. What cannot be read
// gives no options.
func ReadOptions() Options { return optionsFrom(cmdline.NewCmdLine) }

func optionsFrom(read func() *cmdline.CmdLine) (o Options) {
	// cmdline v0.16.0 panics on a value that is a single quotation mark; a
	// typing error on a command line must not cost the dump.
	_ = Guard(func() error {
		line := read()
		set := func(name string) bool {
			v, ok := line.Flag(name)
			return ok && v != "0"
		}
		o = Options{Shell: set("gokdump.shell"), Debug: set("gokdump.debug")}
		return nil
	})
	return o
}
