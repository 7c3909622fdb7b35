package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/gokdump/gokdump/arm"
)

// statusWait bounds the reading of kernel and image.
const statusWait = time.Minute

func (p *program) status(ctx context.Context, args []string) int {
	var asJSON bool
	f := flag.NewFlagSet("status", flag.ContinueOnError)
	f.BoolVar(&asJSON, "json", false, "")
	if code, done := p.parse(f, args, exitUnknown); done {
		return code
	}
	if p.needRoot("status") {
		return exitUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	s, err := p.host.Status(ctx)
	if err != nil {
		p.fail(err)
		return exitUnknown
	}
	if asJSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "\t")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			p.fail(err)
			return exitUnknown
		}
	} else {
		p.print(s)
	}
	switch s.State {
	case arm.Armed:
		return exitOK
	case arm.Stale:
		return exitStale
	case arm.NotArmed:
		return exitNotArmed
	case arm.NoReservation:
		return exitNoReservation
	}
	return exitUnknown
}

// print shows a status to a person.
func (p *program) print(s *arm.Status) {
	row := func(name, format string, a ...any) {
		fmt.Fprintf(p.stdout, "%-14s%s\n", name+":", fmt.Sprintf(format, a...))
	}
	state := string(s.State)
	if s.State == arm.Stale {
		state = "armed, but stale"
	}
	row("state", "%s", state)
	for _, r := range s.Reasons {
		row("reason", "%s", r)
	}
	if s.Next != "" {
		row("next", "%s", s.Next)
	}
	at := ""
	if len(s.Regions) > 0 {
		at = " at " + strings.Join(s.Regions, ", ")
	}
	row("reservation", "%s%s", mib(s.Reserved), at)
	if r := s.Loaded; r != nil {
		release := r.Release
		if release == "" {
			release = "release unknown"
		}
		row("kernel", "%s (%s, %s)", r.Kernel.Path, release, mib(r.Kernel.Size))
		row("image", "%s (%s)", r.Image.Path, mib(r.Image.Size))
		row("command line", "%s", r.Cmdline)
		row("loaded", "%s", r.Time.Format(timeLayout))
	}
	if t := s.Targets; t != nil {
		for _, r := range t.Results {
			if r.Error != "" {
				row("target", "%s: NO DUMP COULD BE SAVED THERE: %s", r.Target, r.Error)
			} else {
				row("target", "%s: %s", r.Target, found(r))
			}
			for _, w := range r.Warnings {
				row("", "%s", w)
			}
		}
		row("tried", "%s (kdump-arm check tries them again)", t.Time.Format(timeLayout))
	}
	if !s.LastGood.IsZero() {
		row("last good", "pair of %s", s.LastGood.Format(timeLayout))
	}
	if s.Lockdown != "" {
		row("lockdown", "%s", s.Lockdown)
	}
}

const timeLayout = "2006-01-02 15:04:05 UTC"
