package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu/lab"
)

// An end is what a person has after a fault.
type end string

// The ends, from the best to the worst.
const (
	complete end = "complete dump"
	partial  end = "partial dump"
	logOnly  end = "log"
	onScreen end = "log on the console"
	nothing  end = "nothing"
)

// lastWords is what the crashed kernel's log ends with.
const lastWords = "Kernel panic - not syncing: sysrq triggered crash"

// logFollows is what kdump-init says before it shows the log for want of a target.
const logFollows = "the end of the crashed kernel's log follows"

// verdict is what a machine left, as a whole.
type verdict struct {
	end      end
	say      string
	onServer bool
	left     *lab.Left // the best; nil if there is none
}

// judge looks at what a machine left on its disk, on the server if there is one, and
// at its console. A file with a complete dump's name that is none is an error whatever
// the fault was. Directories that were there earlier do not count.
func (p *player) judge(ctx context.Context, o *lab.Outcome, s *scene, r *row, earlier map[string]bool) (verdict, error) {
	best := verdict{end: nothing, say: "nothing"}
	if r.repair {
		if err := replay(ctx, o.Disk); err != nil {
			return best, err
		}
	}
	ends := []end{complete, partial, logOnly, onScreen, nothing}
	for _, server := range []bool{true, false} {
		look := o.Left
		if server {
			look = s.left
		}
		if look == nil {
			continue
		}
		all, err := look(ctx)
		if err != nil {
			return best, err
		}
		for _, l := range all {
			if earlier[l.Name] {
				continue
			}
			e, what, err := p.look(ctx, l)
			if err != nil {
				return best, fmt.Errorf("%s: %w", l.Name, err)
			}
			if slices.Index(ends, e) < slices.Index(ends, best.end) {
				if s.left != nil {
					what += map[bool]string{true: ", on the server", false: ", on the disk"}[server]
				}
				best = verdict{e, what, server, &l}
			}
		}
	}
	if best.end == nothing {
		if _, after, ok := strings.Cut(o.Console, logFollows); ok && strings.Contains(after, lastWords) {
			return verdict{end: onScreen, say: "nothing on the disk; the end of the log on the console"}, nil
		}
	}
	return best, nil
}

// expected holds a verdict against what a row wants.
func (v verdict) expected(r *row, o *lab.Outcome) error {
	if !slices.Contains(r.want, v.end) || v.onServer != r.onServer {
		return fmt.Errorf("ended with %s (%s), want one of %q, on the server: %v; the console is in %s", v.end, v.say, r.want, r.onServer, o.Log)
	}
	for _, text := range r.says {
		if !strings.Contains(o.Console, text) {
			return fmt.Errorf("the console does not show %q: %s", text, o.Log)
		}
	}
	if r.warns != "" {
		if v.left == nil || v.left.Report == nil || !strings.Contains(strings.Join(v.left.Report.Warnings, "\n"), r.warns) {
			return fmt.Errorf("no report warns of %q; the console is in %s", r.warns, o.Log)
		}
	}
	return nil
}

// look judges one directory.
func (p *player) look(ctx context.Context, l lab.Left) (end, string, error) {
	var unfinished []string
	for _, n := range l.Names() {
		if strings.HasSuffix(n, ".incomplete") {
			unfinished = append(unfinished, n)
		}
	}
	rest := ""
	if len(unfinished) > 0 {
		rest = "; " + strings.Join(unfinished, ", ")
	}
	log := strings.Contains(l.Text(capture.LogName), lastWords)
	if slices.Contains(l.Names(), capture.LogName) && !log {
		return nothing, "", fmt.Errorf("%s is named as if it were whole, and is not", capture.LogName)
	}
	switch {
	case slices.Contains(l.Names(), capture.DumpName):
		if code, out := p.verify(ctx, l.Path(capture.DumpName)); code != 0 {
			return nothing, "", fmt.Errorf("%s is named as if it were whole: kdump-vmcore verify says %d: %s", capture.DumpName, code, out)
		}
		if r := l.Report; r != nil && (r.Result != capture.Complete || r.LeftOutPages != 0) {
			return nothing, "", fmt.Errorf("%s is there, and the report says %s, %d pages left out: %s", capture.DumpName, r.Result, r.LeftOutPages, r.Error)
		}
		if l.Report == nil {
			return complete, "complete dump, without a report" + rest, nil
		}
		return complete, "log and complete dump" + rest, nil
	case slices.Contains(l.Names(), capture.PartialName):
		code, out := p.verify(ctx, l.Path(capture.PartialName))
		if code == 1 && log && l.Report != nil && strings.Contains(l.Report.Error, "too little was saved for the usual tools") {
			return logOnly, "log, and a partial dump too small for the usual tools, which its report says" + rest, nil
		}
		if code != 0 && code != 3 {
			return nothing, "", fmt.Errorf("%s does not open: kdump-vmcore verify says %d: %s", capture.PartialName, code, out)
		}
		what := "log and partial dump"
		if r := l.Report; r != nil {
			what += fmt.Sprintf(", %d of %d pages", r.StoredPages, r.StoredPages+r.LeftOutPages)
		}
		return partial, what + rest, nil
	case log:
		return logOnly, "log" + rest, nil
	}
	return nothing, "nothing" + rest, nil
}

func (p *player) verify(ctx context.Context, core string) (int, string) {
	cmd := exec.CommandContext(ctx, p.lab.Command("kdump-vmcore"), "verify", core)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, ""
}

// replay does what a machine does when it boots after a power cut: the journal,
// and what it left. A file system that only a person could repair is an error.
func replay(ctx context.Context, disk string) error {
	cmd := exec.CommandContext(ctx, "e2fsck", "-f", "-p", disk)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // errors were corrected
		return nil
	}
	if err != nil {
		return fmt.Errorf("e2fsck -p %s: %w\n%s", disk, err, out)
	}
	return nil
}

// dumpSize is the size of the dump that a machine left, in bytes.
func dumpSize(ctx context.Context, o *lab.Outcome) (int64, error) {
	all, err := o.Left(ctx)
	if err != nil {
		return 0, err
	}
	for _, l := range all {
		if st, err := os.Stat(l.Path(capture.DumpName)); err == nil {
			return st.Size(), nil
		}
	}
	return 0, errors.New("no dump was left")
}
