package boot

import (
	"os"
	"strings"

	"github.com/u-root/u-root/pkg/cmdline"
)

// Options are what a person may ask of kdump-init on the capture kernel's
// command line. "=0" behind a word takes it back.
type Options struct {
	// Shell is gokdump.shell: a failure ends in the rescue console, whatever
	// the plan says.
	Shell bool
	// Debug is gokdump.debug: log details.
	Debug bool
}

// ReadOptions reads the running kernel's command line. What cannot be read
// gives no options.
func ReadOptions() Options {
	return optionsFrom(cmdline.NewCmdLine, func() string {
		b, _ := os.ReadFile("/proc/cmdline")
		return string(b)
	})
}

// optionsFrom asks parse, and goes over the raw text itself when parse fails:
// cmdline v0.16.0 panics on a value that is a single quotation mark, and a
// typing error on a command line must not cost anything.
func optionsFrom(parse func() *cmdline.CmdLine, raw func() string) Options {
	flag := func(name string) (value string, ok bool) {
		for _, word := range strings.Fields(raw()) {
			if key, v, _ := strings.Cut(word, "="); key == name {
				value, ok = v, true
			}
		}
		return value, ok
	}
	_ = Guard(func() error {
		if line := parse(); line.Err == nil {
			flag = line.Flag
		}
		return nil
	})
	set := func(name string) bool {
		v, ok := flag(name)
		return ok && v != "0"
	}
	return Options{Shell: set("gokdump.shell"), Debug: set("gokdump.debug")}
}
