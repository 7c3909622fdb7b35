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

	spread string // of the wall times of ours
	limit  string // what keeps it from its bar

	// Of a dump, to do it again: the codec, the level and the CPUs.
	codec, level string
	cpus         int
}

// missed tells that the figure does not reach its bar.
func (f *figure) missed() bool { return f.bar != 0 && f.value > f.bar }

// codecs are ours and the reference's option, and the bars.
var codecs = []struct {
	name, flag               string
	all31, two1, one31, one1 float64 // -d 31 and -d 1 on two CPUs, and on one
}{
	{"zstd", "z", 0.67, 0.6, 1, 1},
	{"zlib", "c", 0.67, 0.25, 0.35, 0.35},
	{"lzo", "l", 0.67, 0.6, 1, 1},
	{"snappy", "p", 0.67, 0.6, 0.8, 0.8},
}

// bench is one run of everything on one core.
type bench struct {
	ours     string // kdump-vmcore
	self     string // this program
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
	// rival: a reference, of which the best counts. One that was slower than
	// another in its first run is not run again.
	rival bool
}

// chance is by how much a rival may be slower in one run and still be the best.
const chance = 1.03

// compare runs the entrants in turns and gives the median of each.
func (b *bench) compare(ctx context.Context, what string, all []entrant) ([]Sample, error) {
	samples := make([][]Sample, len(all))
	for i := range b.runs {
		for k, e := range all {
			if i > 0 && e.rival && float64(samples[k][0].Wall) > chance*float64(samples[bestRival(all, samples)][0].Wall) {
				continue
			}
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

// bestRival is the one that was fastest in its first run.
func bestRival(all []entrant, samples [][]Sample) int {
	best := -1
	for k, e := range all {
		if e.rival && (best < 0 || samples[k][0].Wall < samples[best][0].Wall) {
			best = k
		}
	}
	return best
}

// fastest is the rival with the best median.
func fastest(all []entrant, s []Sample) int {
	best := -1
	for k, e := range all {
		if e.rival && (best < 0 || s[k].Wall < s[best].Wall) {
			best = k
		}
	}
	return best
}

// dumps compares one codec at one level: ours with its defaults on two CPUs and on
// one, and every reference that has the codec. References have two CPUs always, of
// which they use one, but for those with threads.
func (b *bench) dumps(ctx context.Context, codec, flag string, level int, two, one float64) error {
	what, d := fmt.Sprintf("-d %d, %s", level, codec), strconv.Itoa(level)
	var all []entrant
	for _, cpus := range []int{2, 1} {
		out := filepath.Join(b.work, "ours")
		all = append(all, entrant{name: fmt.Sprintf("ours, %d CPUs", cpus), out: out,
			argv: join(taskset(cpus), b.ours, "dump", "-f", "-c", codec, "-d", d, b.core, out)})
	}
	rivals := b.rivals(flag, d, level == 31 && codec == "zstd")
	note := ""
	if len(rivals) == 0 { // then by what is most like it
		note = ", as none here was built with " + codec
		rivals = b.rivals("l", d, false)
		two, one = 0, 0
	}
	all = append(all, rivals...)
	s, err := b.compare(ctx, what, all)
	if err != nil {
		return err
	}
	best := fastest(all, s)
	name := all[best].name
	if note != "" {
		name += " with lzo" + note
	}
	for i, bar := range []float64{two, one} {
		b.figures = append(b.figures, figure{name: fmt.Sprintf("wall, %s, %d CPUs", what, 2-i), bar: bar,
			value: ratio(s[i].Wall, s[best].Wall), ours: seconds(s[i]), ref: seconds(s[best]) + ", " + name,
			spread: s[i].spread(), codec: codec, level: d, cpus: 2 - i})
	}
	if note == "" {
		b.figures = append(b.figures, figure{name: "size, " + what, bar: sizeBar(codec),
			value: ratio(s[0].Bytes, s[best].Bytes), ours: mb(s[0].Bytes), ref: mb(s[best].Bytes)})
	}
	return nil
}

// rivals are the references that have the compression flag. Threads have never won
// on so few CPUs, and some take minutes: they run where that shows soonest.
func (b *bench) rivals(flag, level string, threads bool) []entrant {
	var all []entrant
	for i, t := range b.refs {
		if !contains(t.caps, flag) {
			continue
		}
		out := filepath.Join(b.work, "reference")
		for n := 0; n <= 2; n++ {
			argv, name := append(join(taskset(2), t.argv...), "-"+flag, "-d", level), t.name
			if n > 0 {
				if !threads || i > 0 {
					continue
				}
				argv = append(argv, "--num-threads", strconv.Itoa(n))
				name += fmt.Sprintf(" --num-threads %d", n)
			}
			all = append(all, entrant{name: name, out: out, argv: append(argv, b.core, out), rival: true})
		}
	}
	return all
}

// sizeBar is the bar for sizes: only zstd, our default, has one.
func sizeBar(codec string) float64 {
	if codec == "zstd" {
		return 1
	}
	return 0
}

func join(a []string, b ...string) []string { return append(append([]string{}, a...), b...) }
