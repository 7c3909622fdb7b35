package main

import (
	"context"
	"fmt"
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

	times []time.Duration // panic to reset
	image int64           // size of the crash image, bytes
	dump  int64           // size of the dump, bytes
	least int             // MiB of crashkernel=; 0 unknown
}

// run crashes one machine and notes how long it was gone.
func (b *bench) run(ctx context.Context, s *subject, i int) error {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o, err := b.crash(ctx, s, dir, "")
	if err != nil {
		return fmt.Errorf("%s, run %d: %w", s.name, i+1, err)
	}
	if s.dump, err = saved(ctx, o); err != nil {
		return fmt.Errorf("%s, run %d: %w; the console:\n%s", s.name, i+1, err, tail(o.Console))
	}
	if st, err := os.Stat(o.Image); err == nil {
		s.image = st.Size()
	}
	s.times = append(s.times, o.ToEnd)
	fmt.Fprintf(b.progress, "%-28s run %d: %.1f s from panic to reset, dump of %.1f MiB\n", s.name, i+1, o.ToEnd.Seconds(), float64(s.dump)/(1<<20))
	return nil
}

// crash plays the story of a subject. reserve is the value of crashkernel=, empty
// for the lab's own.
func (b *bench) crash(ctx context.Context, s *subject, dir, reserve string) (*lab.Outcome, error) {
	if s.system != nil {
		return s.system(ctx, dir)
	}
	story := lab.Story{
		Config: s.config, MemoryMiB: b.memory, Reserve: reserve, Damage: s.replace, CPUs: 2,
		Disk:    qemu.Disk{SizeMiB: 2048, FSType: "ext4", UUID: lab.DiskUUID},
		Fill:    script.Fill{Workers: 16, AnonMiB: 16, ShmMiB: 4, CacheMiB: 512},
		Timeout: 8 * time.Minute,
	}
	if reserve != "" {
		// What the check before arming thinks of it is not what is asked here.
		story.ArmFlags = []string{"--force"}
	}
	return b.lab.Run(ctx, dir, story, nil)
}

// saved gives the size of the one dump that a machine left. Only a whole one counts.
func saved(ctx context.Context, o *lab.Outcome) (int64, error) {
	all, err := o.Left(ctx)
	if err != nil {
		return 0, err
	}
	for _, l := range all {
		if l.Report != nil && l.Report.Result != capture.Complete {
			return 0, fmt.Errorf("the dump is %s: %s", l.Report.Result, l.Report.Error)
		}
		for _, name := range l.Names() {
			if name != capture.DumpName && !strings.HasPrefix(name, "dump.") || strings.HasSuffix(name, "incomplete") {
				continue
			}
			if st, err := os.Stat(filepath.Join(l.Dir, name)); err == nil && st.Size() > 1<<20 {
				return st.Size(), nil
			}
		}
	}
	return 0, fmt.Errorf("no dump was left, in %d directories", len(all))
}

// findFloor looks for the smallest crashkernel= that captures, in steps of 4 MiB,
// by halving.
func (b *bench) findFloor(ctx context.Context, s *subject) error {
	const step = 4
	low, high := 40/step, 192/step // fails, works
	for high-low > 1 {
		mid := (low + high) / 2
		dir, err := os.MkdirTemp(b.dir, "floor-")
		if err != nil {
			return err
		}
		o, err := b.crash(ctx, s, dir, fmt.Sprintf("%dM", mid*step))
		if err == nil {
			_, err = saved(ctx, o)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fmt.Fprintf(b.progress, "%-28s crashkernel=%dM: %s\n", s.name, mid*step, firstLine(err))
		if err == nil {
			high = mid
		} else {
			low = mid
		}
		os.RemoveAll(dir)
	}
	s.least = high * step
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
