package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gokdump/gokdump/qemu/debian"
)

// The Debian release with the newest makedumpfile, and what makes up the small
// system of it that package readers uses too.
var newestSuite, newestPackages = "sid", []string{"crash", "makedumpfile", "python3-drgn", "python3-libkdumpfile"}

// tool is a program to compare.
type tool struct {
	name string
	argv []string // to begin with
	caps string   // compressions that it was built with: c l p z
}

var (
	mdfVersion = regexp.MustCompile(`version (\d+\.\d+\.\d+)`)
	mdfEnabled = regexp.MustCompile(`(?m)^(lzo|snappy|zstd)\s+enabled`)
)

// references finds the makedumpfiles, the newest first, and the root of the system
// that it is from.
func references(ctx context.Context, cache string, progress io.Writer) ([]tool, string, error) {
	root, err := debian.Root(ctx, cache, newestSuite, newestPackages, progress)
	if err != nil {
		return nil, "", err
	}
	all := []tool{{
		name: "makedumpfile of Debian " + newestSuite,
		// Its own loader runs it on the machine's files: no chroot, no mounts.
		argv: []string{filepath.Join(root, "lib64/ld-linux-x86-64.so.2"), "--library-path",
			filepath.Join(root, "usr/lib/x86_64-linux-gnu"), filepath.Join(root, "usr/bin/makedumpfile")},
	}}
	if path, err := exec.LookPath("makedumpfile"); err == nil {
		all = append(all, tool{name: "the machine's makedumpfile", argv: []string{path}})
	}
	for i := range all {
		t := &all[i]
		out, err := exec.CommandContext(ctx, t.argv[0], append(t.argv[1:], "-v")...).CombinedOutput()
		v := mdfVersion.FindSubmatch(out)
		if err != nil || v == nil {
			return nil, "", fmt.Errorf("bench: %s -v: %w: %.300s", strings.Join(t.argv, " "), err, out)
		}
		t.name = "makedumpfile " + string(v[1])
		t.caps = "c"
		for _, m := range mdfEnabled.FindAllSubmatch(out, -1) {
			t.caps += map[string]string{"lzo": "l", "snappy": "p", "zstd": "z"}[string(m[1])]
		}
	}
	return all, root, nil
}
