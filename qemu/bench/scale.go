package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// large is a synthetic core to measure on. The reference is not asked: it would take
// hours.
type large struct {
	gib    uint64
	varied bool
	level  string
	dump   bool // else only the filter
}

// larges are those of the table.
var larges = []large{
	{1024, false, "31", false},
	{1024, true, "31", false},
	{1024, false, "31", true},
	{1024, true, "31", true},
	{12288, false, "31", false},
	{12288, true, "31", false},
	{12288, false, "31", true},
}

// name is what the table says.
func (l large) name() string {
	size, like, what := fmt.Sprintf("%d TiB", l.gib>>10), "alike", "--dry-run"
	if l.gib < 1024 {
		size = fmt.Sprintf("%d GiB", l.gib)
	}
	if l.varied {
		like = "varied"
	}
	if l.dump {
		what = "zstd"
	}
	return fmt.Sprintf("%s, %s, dump -d %s, %s", size, like, l.level, what)
}

// budget is the bar, in MiB: so much, and so much for each TiB.
func (l large) budget() float64 { return 16 + 32*float64(l.gib)/1024 }

// scale measures each once: their times are long, and not compared with another's.
func (b *bench) scale(ctx context.Context, dir string) error {
	wall := map[large]float64{}
	for _, l := range larges {
		s, err := b.large(ctx, dir, l)
		if err != nil {
			return err
		}
		wall[l] = s.Wall.Seconds()
		b.figures = append(b.figures, figure{name: "private memory, " + l.name(), bar: l.budget(), value: mib(s.Private), unit: "MiB", ours: seconds(s), spread: s.spread()})
		small := l
		small.gib = 1024
		if w := wall[small]; l.gib > small.gib && w > 0 {
			b.figures = append(b.figures, figure{name: "time for each TiB against 1 TiB's, " + l.name(), bar: 1.1,
				value: wall[l] / w * float64(small.gib) / float64(l.gib), ours: seconds(s), ref: fmt.Sprintf("%.2f s for 1 TiB", w), spread: s.spread()})
		}
	}
	return nil
}

// large measures on one core, which it makes.
func (b *bench) large(ctx context.Context, dir string, l large) (Sample, error) {
	core := filepath.Join(dir, "sparse.elf")
	defer os.Remove(core)
	if err := writeSparse(core, l.gib<<30, l.varied); err != nil {
		return Sample{}, err
	}
	return b.largeOf(ctx, core, l)
}

func (b *bench) largeOf(ctx context.Context, core string, l large) (Sample, error) {
	e := entrant{name: "ours", argv: join(taskset(2), b.ours, "dump", "--dry-run", "-d", l.level, core)}
	if l.dump {
		e.out = filepath.Join(b.work, "ours")
		e.argv = join(taskset(2), b.ours, "dump", "-f", "--workers", "2", "-d", l.level, core, e.out)
	}
	once := *b
	once.runs = 1
	s, err := once.compare(ctx, l.name(), []entrant{e})
	if err != nil {
		return Sample{}, err
	}
	return s[0], nil
}

// eight measures the memory that a core of 8 GiB takes, the memory of which is a GiB
// of the real core over and over.
func (b *bench) eight(ctx context.Context, dir string) error {
	core := filepath.Join(dir, "eight.elf")
	defer os.Remove(core)
	real, err := os.Stat(b.core)
	if err == nil {
		err = writeSparse(core, 8<<30, true)
	}
	if err == nil { // its second half was used most
		err = copyPart(core, dataAt, b.core, real.Size()/2&^(pageSize-1), dataSize)
	}
	if err != nil {
		return err
	}
	for _, l := range []large{{8, true, "31", true}, {8, true, "1", true}} {
		s, err := b.largeOf(ctx, core, l)
		if err != nil {
			return err
		}
		b.figures = append(b.figures, figure{name: "private memory, 2 workers, " + l.name(), bar: 24, value: mib(s.Private), unit: "MiB", ours: seconds(s), spread: s.spread()})
	}
	return nil
}

// copyPart copies n bytes between places of two files.
func copyPart(to string, at int64, from string, off, n int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(io.NewOffsetWriter(out, at), io.NewSectionReader(in, off, n)); err != nil {
		return err
	}
	return out.Close()
}
