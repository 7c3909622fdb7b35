package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/arm"
	"github.com/gokdump/gokdump/arm/probe"
)

// tryWait bounds a try of all targets, which are tried at once.
const tryWait = 20 * time.Second

// check tries the targets of an image.
func (p *program) check(ctx context.Context, args []string) int {
	var path string
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	f.StringVar(&path, "image", "", "")
	if code, done := p.parse(f, args, exitUsage); done {
		return code
	}
	if p.needRoot("check") {
		return exitFailed
	}
	file, info, err := p.host.OpenImage(ctx, path)
	if err != nil {
		return p.fail(err)
	}
	if info == nil || info.Plan == nil {
		return p.fail(&arm.Problem{Text: "image " + file.Path, Err: errors.New("it does not say what its targets are"), Next: "build it anew with kdump-mkinitramfs"})
	}
	if !p.try(ctx, file, info) {
		return exitFailed
	}
	return exitOK
}

// try tries the targets, says what was found, keeps it for status, and tells whether a
// dump could be saved to all of them.
func (p *program) try(ctx context.Context, image arm.File, info *arm.ImageInfo) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, tryWait, fmt.Errorf("%v have passed", tryWait))
	defer cancel()
	results := probe.Targets(ctx, info.Plan, info.Files)
	good := true
	for _, r := range results {
		if r.Error != "" {
			good = false
			p.warn(fmt.Sprintf("%s: a dump could not be saved there now: %s", r.Target, r.Error))
		} else {
			fmt.Fprintf(p.stdout, "%s: %s\n", r.Target, found(r))
		}
		for _, w := range r.Warnings {
			p.warn(r.Target + ": " + w)
		}
	}
	if !good {
		p.hint("the crash kernel tries each target all the same; mend that, and run kdump-arm check again")
	}
	if err := p.host.KeepTargets(image, results); err != nil {
		p.warn(fmt.Sprintf("not recorded for status: %v", err))
	}
	return good
}

// found says what was seen of a target that can be reached.
func found(r probe.Result) string {
	s := r.Says
	if r.Free > 0 {
		s += ", " + mib(r.Free) + " free"
	}
	return s
}
