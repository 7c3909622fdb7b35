package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/arm/config"
	"github.com/gokdump/gokdump/capture/notify"
	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/blkid"
)

// How long the two commands may take.
const (
	notifyWait = 10 * time.Minute
	pruneWait  = 10 * time.Minute
	maxReport  = 1 << 20
)

// dumps is what notify and prune have in common.
type dumps struct {
	cfg  *config.Config
	host string
	dirs []string
}

// openDumps reads the flags and finds the directories.
func (p *program) openDumps(ctx context.Context, f *flag.FlagSet, args []string) (d dumps, code int, done bool) {
	var file string
	var dirs repeated
	f.StringVar(&file, "config", "", "")
	f.Var(&dirs, "dir", "")
	if code, done := p.parse(f, args, exitUsage); done {
		return d, code, true
	}
	if p.needRoot(f.Name()) {
		return d, exitFailed, true
	}
	given := file != ""
	if !given {
		file = p.host.System().Path(defaultConfig)
	}
	var err error
	if d.cfg, err = config.Load(file, !given); err != nil {
		return d, p.fail(err), true
	}
	if d.host = d.cfg.Host; d.host == "" {
		if d.host, err = p.hostName(); err != nil {
			return d, p.fail(err), true
		}
	}
	if d.dirs = dirs; len(dirs) == 0 {
		info, err := os.ReadFile(p.host.System().Path("/proc/self/mountinfo"))
		if err != nil {
			return d, p.fail(err), true
		}
		finder := new(blkid.Finder)
		found, notes, err := d.cfg.DumpDirs(info, func(dev plan.Device) (string, string, error) { return deviceNumber(ctx, finder, dev) })
		if err != nil {
			return d, p.fail(err), true
		}
		for _, n := range notes {
			p.warn(n)
		}
		for _, dir := range found {
			d.dirs = append(d.dirs, p.host.System().Path(dir))
		}
	}
	return d, 0, false
}

// repeated is a flag that may be given several times.
type repeated []string

func (r *repeated) String() string     { return fmt.Sprint(*r) }
func (r *repeated) Set(s string) error { *r = append(*r, s); return nil }

// hostName is the name that kdump-mkinitramfs puts into the plan.
func (p *program) hostName() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("the host's name: %w", err)
	}
	return unix.ByteSliceToString(u.Nodename[:]), nil
}

func deviceNumber(ctx context.Context, finder *blkid.Finder, d plan.Device) (number, path string, err error) {
	path, _, err = finder.Find(ctx, d)
	if err != nil {
		return "", "", err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", "", &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), path, nil
}

// each does something in each directory for dumps that there is.
func (p *program) each(d dumps, do func(t *target.Dir, all []past.Dump) error) int {
	code := exitOK
	for _, dir := range d.dirs {
		if st, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue // no dump was ever saved there
		} else if err == nil && !st.IsDir() {
			err = &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
			code = p.fail(err)
			continue
		}
		t, err := target.NewDir(dir)
		if err != nil {
			code = p.fail(err)
			continue
		}
		all, err := past.List(t, d.host)
		if err != nil {
			p.warn(err.Error())
		}
		if err := do(t, all); err != nil {
			code = p.fail(fmt.Errorf("%s: %w", dir, err))
		}
		t.Close()
	}
	return code
}

// notify posts the reports that no crash kernel could post.
func (p *program) notify(ctx context.Context, args []string) int {
	d, code, done := p.openDumps(ctx, flag.NewFlagSet("notify", flag.ContinueOnError), args)
	if done {
		return code
	}
	if d.cfg.Notify.URL == "" {
		fmt.Fprintln(p.stdout, "nobody is to be notified: the configuration has no notify")
		return exitOK
	}
	hook, err := makeHook(d.cfg.Notify)
	if err != nil {
		return p.fail(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, notifyWait, fmt.Errorf("waited for %v", notifyWait))
	defer cancel()
	posted := 0
	code = p.each(d, func(t *target.Dir, all []past.Dump) error {
		for _, dump := range all {
			if !dump.Post() {
				continue
			}
			text, err := t.ReadFile(dump.Dir, past.ReportName, maxReport)
			if err != nil {
				return err
			}
			if err := hook.Post(ctx, text); err != nil {
				return err
			}
			posted++
			fmt.Fprintf(p.stdout, "posted the report of %s\n", dump.Dir)
			if err := past.MarkNotified(t, dump.Dir, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if posted == 0 && code == exitOK {
		fmt.Fprintln(p.stdout, "no report was to be posted")
	}
	return code
}

func makeHook(n config.Notify) (*notify.Hook, error) {
	h := &notify.Hook{URL: n.URL}
	for _, f := range []struct {
		path string
		set  func([]byte)
	}{{n.CA, func(b []byte) { h.CA = b }}, {n.Token, func(b []byte) { h.Token = string(b) }}} {
		if f.path == "" {
			continue
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		f.set(b)
	}
	return h, nil
}

// prune removes old dumps by the configuration's rule.
func (p *program) prune(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("prune", flag.ContinueOnError)
	var dry bool
	f.BoolVar(&dry, "dry-run", false, "")
	d, code, done := p.openDumps(ctx, f, args)
	if done {
		return code
	}
	rule := past.Keep{Dumps: d.cfg.Keep.Dumps, Free: d.cfg.Keep.Free}
	if !rule.Any() {
		fmt.Fprintln(p.stdout, "all dumps stay: the configuration has neither keep nor keep_free")
		return exitOK
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pruneWait, fmt.Errorf("waited for %v", pruneWait))
	defer cancel()
	return p.each(d, func(t *target.Dir, all []past.Dump) error {
		if dry {
			for _, v := range rule.Victims(all) {
				fmt.Fprintf(p.stdout, "would remove %s (%s)\n", v.Dir, mib(uint64(v.Bytes)))
			}
			return nil
		}
		done, err := past.Prune(ctx, t, all, rule)
		for _, name := range done.Removed {
			fmt.Fprintf(p.stdout, "removed %s\n", name)
		}
		for _, n := range done.Notes {
			p.warn(n)
		}
		return err
	})
}
