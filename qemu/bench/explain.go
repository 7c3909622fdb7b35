package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// explain says of each missed figure what limits it, as measured now: of a dump, where
// its time goes, and how long it takes to do only what any dump does.
func (b *bench) explain(ctx context.Context) error {
	floors := map[string]string{}
	for i := range b.figures {
		f := &b.figures[i]
		if !f.missed() {
			continue
		}
		f.limit = "the runs took from " + f.spread
		if f.codec == "" {
			continue
		}
		s, err := b.split(ctx, f)
		if err != nil {
			return err
		}
		f.limit += "; " + s.String()
		key := fmt.Sprint(f.level, f.cpus)
		if floors[key] == "" {
			if floors[key], err = b.least(ctx, f); err != nil {
				return err
			}
		}
		f.limit += ". " + floors[key]
		once, err := b.writeOnce(ctx, f)
		if err != nil {
			return err
		}
		f.limit += once
	}
	return nil
}

// split profiles the dump of a figure in a process of its own.
func (b *bench) split(ctx context.Context, f *figure) (s split, err error) {
	fmt.Fprintf(b.progress, "profiling %s\n", f.name)
	out := filepath.Join(b.work, "profiled")
	defer os.Remove(out)
	argv := join(taskset(f.cpus), b.self, profileFlag, b.core, f.codec, f.level, out)
	text, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return s, fmt.Errorf("bench: %s: %w", strings.Join(argv, " "), err)
	}
	return s, json.Unmarshal(text, &s)
}

// String tells it in words, what took next to nothing left out.
func (s split) String() string {
	var b strings.Builder
	cpu := 0.0
	for _, v := range s.CPU {
		cpu += v
	}
	fmt.Fprintf(&b, "of %.2f s in a profiled run, filtering took %.2f, writing %.2f (the last syncing %.2f) and reading back %.2f; of %.2f s of CPU time",
		s.Wall["all"], s.Wall["filter"], s.Wall["write"], s.Wall["sync"], s.Wall["verify"], cpu)
	comma := ""
	for _, p := range parts {
		if v := s.CPU[p.name]; v >= cpu/200 {
			fmt.Fprintf(&b, "%s %s %.2f", comma, p.name, v)
			comma = ","
		}
	}
	return b.String()
}

// least measures what is left of a dump without compression: reading the pages that are
// kept, which copies them, and writing them as they are.
func (b *bench) least(ctx context.Context, f *figure) (string, error) {
	out := filepath.Join(b.work, "ours")
	defer os.Remove(out)
	s, err := b.compare(ctx, "least, -d "+f.level, []entrant{{name: "codec none", out: out,
		argv: join(taskset(f.cpus), b.ours, "dump", "-f", "-c", "none", "-d", f.level, b.core, out)}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("The same dump without compression, %s that are copied in and out, takes %s", mb(s[0].Bytes), seconds(s[0])), nil
}

// writeOnce measures writing the very output of a figure, and nothing else.
func (b *bench) writeOnce(ctx context.Context, f *figure) (string, error) {
	made, out := filepath.Join(b.work, "made"), filepath.Join(b.work, "copy")
	defer os.Remove(made)
	defer os.Remove(out)
	if _, err := run(ctx, made, b.ours, "dump", "-f", "-c", f.codec, "-d", f.level, b.core, made); err != nil {
		return "", err
	}
	s, err := b.compare(ctx, "writing "+f.name, []entrant{{name: "dd", out: out,
		argv: join(taskset(1), "dd", "if="+made, "of="+out, "bs=1M", "conv=fsync")}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("; writing the %s of the output in sequence, and fsync(2), %s", mb(s[0].Bytes), seconds(s[0])), nil
}
