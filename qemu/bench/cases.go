package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
)

// figure is one row of the table: what is measured, and the bar it is held to.
type figure struct {
	name  string
	bar   float64 // the most that ours may be of the reference
	value float64 // ours in parts of the reference's, or in a unit of its own
	unit  string  // empty for a ratio
	ours  string  // the measured figures, for the reader
	ref   string
	note  string
}

// codecs are ours and the reference's option; bars are for -d 31 and -d 1 on two
// CPUs, and on one.
var codecs = []struct {
	name, flag               string
	all31, two1, one31, one1 float64
}{
	{"zstd", "z", 0.67, 0.6, 1, 1},
	{"zlib", "c", 0.67, 0.25, 0.35, 0.35},
	{"lzo", "l", 0.67, 0.6, 1, 1},
	{"snappy", "p", 0.67, 0.6, 0.8, 0.8},
}

// bench is one run of everything on one core.
type bench struct {
	ours     string // kdump-vmcore
	refs     []tool
	core     string
	work     string // for outputs
	runs     int
	progress io.Writer
	figures  []figure
}

// entrant is one command of a comparison.
type entrant struct {
	name string
	out  string
	argv []string
}

// compare runs the entrants in turns and gives the median of each.
func (b *bench) compare(ctx context.Context, what string, all []entrant) ([]Sample, error) {
	samples := make([][]Sample, len(all))
	for i := range b.runs {
		for k, e := range all {
			fmt.Fprintf(b.progress, "\r%s: run %d of %d, %s\x1b[K", what, i+1, b.runs, e.name)
			s, err := run(ctx, e.out, e.argv...)
			if err != nil {
				return nil, err
			}
			samples[k] = append(samples[k], s)
		}
	}
	fmt.Fprintf(b.progress, "\r\x1b[K")
	var out []Sample
	for k, e := range all {
		s := median(samples[k])
		fmt.Fprintf(b.progress, "%-24s %-32s %8.2f s, CPU %6.2f s, private %5.1f MiB, %d bytes\n",
			what, e.name, s.Wall.Seconds(), s.CPU.Seconds(), float64(s.Private)/(1<<20), s.Bytes)
		out = append(out, s)
	}
	return out, nil
}

// taskset is the prefix that keeps a command on so many CPUs.
func taskset(cpus int) []string {
	return []string{"taskset", "-c", fmt.Sprintf("0-%d", cpus-1)}
}

// dumps compares one codec at one level on so many CPUs: ours with its defaults,
// every reference that has the codec with any number of threads that makes sense.
func (b *bench) dumps(ctx context.Context, codec, flag string, level, cpus int, bar float64) error {
	what := fmt.Sprintf("-d %d, %s, %d CPUs", level, codec, cpus)
	pre, d := taskset(cpus), strconv.Itoa(level)
	out := filepath.Join(b.work, "ours")
	all := []entrant{{"ours", out, join(pre, b.ours, "dump", "-f", "-c", codec, "-d", d, b.core, out)}}
	rivals := 0
	for _, t := range b.refs {
		if !contains(t.caps, flag) {
			continue
		}
		rivals++
		for threads := 0; threads <= cpus; threads++ {
			// Threads have never won on so few CPUs, and some take minutes: once
			// is enough to see that.
			if threads > 0 && (t.name != b.refs[0].name || codec != "zstd" || level != 31 || cpus == 1) {
				continue
			}
			out := filepath.Join(b.work, "reference")
			argv := append(join(pre, t.argv...), "-"+flag, "-d", d)
			name := t.name
			if threads > 0 {
				argv = append(argv, "--num-threads", strconv.Itoa(threads))
				name += fmt.Sprintf(" --num-threads %d", threads)
			}
			all = append(all, entrant{name, out, append(argv, b.core, out)})
		}
	}
	s, err := b.compare(ctx, what, all)
	if err != nil {
		return err
	}
	if rivals == 0 {
		b.figures = append(b.figures, figure{name: "wall, " + what, bar: bar, ours: seconds(s[0]),
			note: "no makedumpfile here was built with " + codec})
		return nil
	}
	best := 1
	for k := range s {
		if k > 0 && s[k].Wall < s[best].Wall {
			best = k
		}
	}
	b.figures = append(b.figures, figure{name: "wall, " + what, bar: bar, value: ratio(s[0].Wall, s[best].Wall),
		ours: seconds(s[0]), ref: seconds(s[best]) + ", " + all[best].name})
	if cpus > 1 {
		b.figures = append(b.figures, figure{name: fmt.Sprintf("size, -d %d, %s", level, codec), bar: sizeBar(codec),
			value: ratio(s[0].Bytes, s[best].Bytes), ours: mb(s[0].Bytes), ref: mb(s[best].Bytes)})
	}
	if codec == "zstd" && level == 31 && cpus > 1 {
		b.figures = append(b.figures, figure{name: "private memory, " + what, bar: 24, value: mib(s[0].Private), unit: "MiB",
			ours: fmt.Sprintf("%.1f MiB", mib(s[0].Private)), ref: fmt.Sprintf("%.1f MiB", mib(s[best].Private))})
	}
	return nil
}

// sizeBar is the bar for sizes: only zstd, our default, has one.
func sizeBar(codec string) float64 {
	if codec == "zstd" {
		return 1
	}
	return 0
}

// scan compares the filter alone.
func (b *bench) scan(ctx context.Context) error {
	out := filepath.Join(b.work, "none")
	pre := taskset(2)
	all := []entrant{{"ours", "", join(pre, b.ours, "makedumpfile", "--dry-run", "-z", "-d", "31", b.core, out)}}
	for _, t := range b.refs {
		all = append(all, entrant{t.name, "", append(join(pre, t.argv...), "--dry-run", "-c", "-d", "31", b.core, out)})
	}
	s, err := b.compare(ctx, "--dry-run, -d 31", all)
	if err != nil {
		return err
	}
	best := 1
	for k := range s {
		if k > 0 && s[k].Wall < s[best].Wall {
			best = k
		}
	}
	b.figures = append(b.figures, figure{name: "--dry-run, -d 31, 2 CPUs", bar: 0.5, value: ratio(s[0].Wall, s[best].Wall),
		ours: seconds(s[0]), ref: seconds(s[best]) + ", " + all[best].name})
	return nil
}

// floor measures what nothing can be faster than at level 1: reading the core once.
func (b *bench) floor(ctx context.Context) error {
	s, err := b.compare(ctx, "reading", []entrant{{"dd", "", []string{"dd", "if=" + b.core, "of=/dev/null", "bs=1M"}}})
	if err == nil {
		b.figures = append(b.figures, figure{name: "floor: reading the core once", value: s[0].Wall.Seconds(), unit: "s", ours: seconds(s[0])})
	}
	return err
}

// threads compares our own numbers of workers with one.
func (b *bench) threads(ctx context.Context) error {
	for _, cpus := range []int{1, 2} {
		var all []entrant
		for _, n := range []string{"1", "2", "8"} {
			out := filepath.Join(b.work, "ours")
			all = append(all, entrant{n + " workers", out, join(taskset(cpus), b.ours, "dump", "-f", "--workers", n, "-d", "31", b.core, out)})
		}
		s, err := b.compare(ctx, fmt.Sprintf("workers, %d CPUs", cpus), all)
		if err != nil {
			return err
		}
		for k, n := range []int{2, 8} {
			b.figures = append(b.figures, figure{name: fmt.Sprintf("%d workers and 1, %d CPUs", n, cpus), bar: 1,
				value: ratio(s[k+1].Wall, s[0].Wall), ours: seconds(s[k+1]), ref: seconds(s[0]) + " with 1"})
		}
	}
	return nil
}

func join(a []string, b ...string) []string { return append(append([]string{}, a...), b...) }
