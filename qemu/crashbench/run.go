package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
)

// subject is one way to save a dump.
type subject struct {
	name string
	// config is the kdump.conf of ours.
	config string
	// replace, if not nil, puts another crash image in the place of ours.
	replace func(image string) error
	// system, if not nil, crashes a whole Debian instead of the small guest.
	system func(ctx context.Context, dir string) (*lab.Outcome, error)
}

// floor tells whether its smallest crashkernel= is of interest: compressing the
// pages in another way takes no other amount of memory.
func (s *subject) floor() bool {
	return s.name == oursZstd || s.name == peerLZO
}

// run crashes one machine and notes how long it was gone.
func (b *bench) run(ctx context.Context, s *subject, i int) error {
	if err := b.mayStart(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var at stamps
	o, err := b.crash(ctx, s, dir, "", &at)
	if err != nil {
		return fmt.Errorf("%s, run %d: %w", s.name, i+1, err)
	}
	c := crash{Kernel: at.since(1).Seconds(), Init: at.since(2).Seconds(), Reset: o.ToEnd.Seconds()}
	if c.Dump, c.Steps, err = saved(ctx, o); err != nil {
		return fmt.Errorf("%s, run %d: %w; the console:\n%s", s.name, i+1, err, tail(o.Console))
	}
	if st, err := os.Stat(o.Image); err == nil {
		c.Image = st.Size()
	}
	b.state.Runs[s.name] = append(b.state.Runs[s.name], c)
	fmt.Fprintf(b.progress, "%-28s run %d: %.1f s from panic to reset (crash kernel %.1f, /init %.1f), dump of %.1f MiB\n", s.name, i+1, c.Reset, c.Kernel, c.Init, float64(c.Dump)/(1<<20))
	if b.keep != "" {
		_ = os.WriteFile(fmt.Sprintf("%s/%s-%d.log", b.keep, strings.ReplaceAll(s.name, " ", "_"), i), []byte(o.Console), 0o644)
	}
	return b.state.save()
}

// hangs is after how long without a word on the console a machine with little memory is
// given up: a crash kernel that is out of it may stand still.
const hangs = 75 * time.Second

// quiet calls stop when nothing was written for long.
type quiet struct{ stop *time.Timer }

func (q quiet) Write(p []byte) (int, error) {
	q.stop.Reset(hangs)
	return len(p), nil
}

// crash plays the story of a subject. reserve is the value of crashkernel=, empty
// for the lab's own.
func (b *bench) crash(ctx context.Context, s *subject, dir, reserve string, console io.Writer) (*lab.Outcome, error) {
	if s.system != nil {
		return s.system(ctx, dir)
	}
	story := lab.Story{
		Config: s.config, MemoryMiB: b.memory, Reserve: reserve, Damage: s.replace, CPUs: 2,
		Disk:    qemu.Disk{SizeMiB: 2048, FSType: "ext4", UUID: lab.DiskUUID},
		Fill:    script.Fill{Workers: 16, AnonMiB: 16, ShmMiB: 4, CacheMiB: 512},
		Timeout: 8 * time.Minute,
	}
	if b.words != "" {
		story.ArmFlags = []string{"--append", b.words}
	}
	if reserve != "" {
		// What the check before arming thinks of it is not what is asked here.
		story.ArmFlags = append(story.ArmFlags, "--force")
	}
	return b.lab.Run(ctx, dir, story, console)
}

// saved gives the size of the one dump that a machine left, and the steps that its
// report tells. Only a whole one counts.
func saved(ctx context.Context, o *lab.Outcome) (int64, []capture.Step, error) {
	all, err := o.Left(ctx)
	if err != nil {
		return 0, nil, err
	}
	for _, l := range all {
		if l.Report != nil && l.Report.Result != capture.Complete {
			return 0, nil, fmt.Errorf("the dump is %s: %s", l.Report.Result, l.Report.Error)
		}
		for _, name := range l.Names() {
			if name != capture.DumpName && !strings.HasPrefix(name, "dump.") || strings.HasSuffix(name, "incomplete") {
				continue
			}
			if st, err := os.Stat(filepath.Join(l.Dir, name)); err == nil && st.Size() > 1<<20 {
				var steps []capture.Step
				if l.Report != nil {
					steps = l.Report.Steps
				}
				return st.Size(), steps, nil
			}
		}
	}
	return 0, nil, fmt.Errorf("no dump was left, in %d directories", len(all))
}

// The search for the smallest crashkernel=, in MiB.
const (
	floorStep  = 4
	floorLeast = 40 // nothing captures with that
	floorMost  = 192
	floorFirst = 80 // a good guess
)

// findFloor looks for the smallest crashkernel= that captures, by halving.
func (b *bench) findFloor(ctx context.Context, s *subject) error {
	f := b.state.Floors[s.name]
	if f == nil {
		f = &floor{floorLeast, floorMost}
		b.state.Floors[s.name] = f
	}
	for f.High-f.Low > floorStep {
		if err := b.mayStart(); err != nil {
			return err
		}
		try := (f.Low + f.High) / 2 / floorStep * floorStep
		if f.High == floorMost && f.Low == floorLeast {
			try = floorFirst
		}
		dir, err := os.MkdirTemp(b.dir, "floor-")
		if err != nil {
			return err
		}
		machine, stop := context.WithCancelCause(ctx)
		timer := time.AfterFunc(hangs, func() { stop(fmt.Errorf("nothing on the console for %v", hangs)) })
		o, err := b.crash(machine, s, dir, fmt.Sprintf("%dM", try), quiet{timer})
		timer.Stop()
		stop(nil)
		if err == nil {
			_, _, err = saved(ctx, o)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fmt.Fprintf(b.progress, "%-28s crashkernel=%dM: %s\n", s.name, try, firstLine(err))
		if b.keep != "" && o != nil {
			_ = os.WriteFile(fmt.Sprintf("%s/%s-%dM.log", b.keep, strings.ReplaceAll(s.name, " ", "_"), try), []byte(o.Console), 0o644)
		}
		if err == nil {
			f.High = try
		} else {
			f.Low = try
		}
		os.RemoveAll(dir)
		if err := b.state.save(); err != nil {
			return err
		}
	}
	return nil
}

func firstLine(err error) string {
	if err == nil {
		return "saved"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return "not saved: " + line
}

// tail is the end of a console.
func tail(s string) string { return s[max(0, len(s)-3000):] }
