package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// scan compares the filter alone: with all that the reference does but for writing,
// with the same of ours, and with plain reads of what the filter has to read.
func (b *bench) scan(ctx context.Context) error {
	none := filepath.Join(b.work, "none")
	all := []entrant{
		{name: "ours", argv: join(taskset(2), b.ours, "dump", "--dry-run", "-d", "31", b.core)},
		{name: "ours, 1 CPU", argv: join(taskset(1), b.ours, "dump", "--dry-run", "-d", "31", b.core)},
		{name: "ours, as makedumpfile", argv: join(taskset(2), b.ours, "makedumpfile", "--dry-run", "-l", "-d", "31", b.core, none)},
		{name: "reading struct pages", argv: join(taskset(1), b.self, readMapsFlag, b.core)},
	}
	const reads = 3
	for _, t := range b.refs {
		all = append(all, entrant{name: t.name, rival: true, argv: append(join(taskset(2), t.argv...), "--dry-run", "-l", "-d", "31", b.core, none)})
	}
	s, err := b.compare(ctx, "--dry-run, -d 31", all)
	if err != nil {
		return err
	}
	best := fastest(all, s)
	ref := seconds(s[best]) + ", " + all[best].name
	plain := seconds(s[reads]) + ", plain reads of the struct pages"
	b.figures = append(b.figures,
		figure{name: "dump --dry-run (the filter), -d 31, 2 CPUs", bar: 0.5, value: ratio(s[0].Wall, s[best].Wall), ours: seconds(s[0]), ref: ref, spread: s[0].spread()},
		figure{name: "makedumpfile --dry-run (compresses, too), lzo, -d 31, 2 CPUs", bar: 0.5, value: ratio(s[2].Wall, s[best].Wall), ours: seconds(s[2]), ref: ref, spread: s[2].spread()},
		figure{name: "the filter and reading its struct pages, 2 CPUs", bar: 2, value: ratio(s[0].Wall, s[reads].Wall), ours: seconds(s[0]), ref: plain, spread: s[0].spread()},
		figure{name: "the filter and reading its struct pages, 1 CPU", bar: 2, value: ratio(s[1].Wall, s[reads].Wall), ours: seconds(s[1]), ref: plain, spread: s[1].spread()})
	return nil
}

// floor measures what nothing can be faster than at level 1: reading the core once
// and writing the dump once.
func (b *bench) floor(ctx context.Context) error {
	made, out := filepath.Join(b.work, "made"), filepath.Join(b.work, "copy")
	defer os.Remove(made)
	if _, err := run(ctx, made, b.ours, "dump", "-f", "-c", "lzo", "-d", "1", b.core, made); err != nil {
		return err
	}
	s, err := b.compare(ctx, "reading and writing", []entrant{
		{name: "core", argv: join(taskset(1), "dd", "if="+b.core, "of=/dev/null", "bs=1M")},
		{name: "dump", out: out, argv: join(taskset(1), "dd", "if="+made, "of="+out, "bs=1M")}})
	if err == nil {
		b.figures = append(b.figures,
			figure{name: "floor: reading the core once", value: s[0].Wall.Seconds(), unit: "s", ours: seconds(s[0])},
			figure{name: "floor: writing the dump of -d 1, lzo, once", value: s[1].Wall.Seconds(), unit: "s", ours: seconds(s[1])})
	}
	return err
}

// threads compares our own numbers of workers with one.
func (b *bench) threads(ctx context.Context) error {
	for _, cpus := range []int{1, 2} {
		var all []entrant
		for _, n := range []string{"1", "2", "8"} {
			out := filepath.Join(b.work, "ours")
			all = append(all, entrant{name: n + " workers", out: out, argv: join(taskset(cpus), b.ours, "dump", "-f", "--workers", n, "-d", "31", b.core, out)})
		}
		s, err := b.compare(ctx, fmt.Sprintf("workers, %d CPUs", cpus), all)
		if err != nil {
			return err
		}
		for k, n := range []int{2, 8} {
			b.figures = append(b.figures, figure{name: fmt.Sprintf("%d workers and 1, %d CPUs", n, cpus), bar: 1,
				value: ratio(s[k+1].Wall, s[0].Wall), ours: seconds(s[k+1]), ref: seconds(s[0]) + " with 1",
				spread: fmt.Sprintf("%s, those with one worker from %s", s[k+1].spread(), s[0].spread())})
		}
	}
	return nil
}
