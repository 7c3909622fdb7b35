package readers

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/gokdump/gokdump/qemu/debian"
)

// newestSuite is where Debian's newest readers are.
const newestSuite = "sid"

// Newest gives the newest readers that Debian has, in a small system of its
// development release, which needs root. One that is in the cache serves.
func Newest(ctx context.Context, cache string, progress io.Writer) (*Readers, error) {
	// debootstrap does not see that python3-libkdumpfile needs the last one.
	return inSuite(ctx, cache, newestSuite, append(slices.Clone(packages), "python3-cffi-backend"), progress)
}

// Released gives readers of a Debian release in a small system, as [Get] does where
// the machine's own are too old; unlike those, they come with all programs.
func Released(ctx context.Context, cache string, progress io.Writer) (*Readers, error) {
	return inSuite(ctx, cache, suite, packages, progress)
}

func inSuite(ctx context.Context, cache, suite string, packages []string, progress io.Writer) (*Readers, error) {
	root, err := debian.Root(ctx, cache, suite, packages, progress)
	if err != nil {
		return nil, fmt.Errorf("readers: %w", err)
	}
	return &Readers{root: root}, nil
}

// Run runs a program where r's readers are and gives what it printed. In its
// arguments, @0 stands for the first of the files and so on; a file may be a
// directory, and may be written to.
func (r *Readers) Run(ctx context.Context, files []string, argv ...string) (string, error) {
	return r.run(ctx, slices.Clone(files), slices.Clone(argv)...)
}
