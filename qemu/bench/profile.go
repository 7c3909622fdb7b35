package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// profileFlag makes this program write a dump, as kdump-vmcore does, and tell where its
// time went.
const profileFlag = "--profile"

// profileFor is how long dumps are repeated: short ones give few samples.
const profileFor = 4 * time.Second

// parts are what the work of a dump consists of, by the functions that are under way:
// the first that is found in a stack counts.
var parts = []struct {
	name      string
	functions []string
}{
	{"reading back", []string{"capture.(*save).verify", "dump.(*verifier)"}},
	{"filter", []string{"capture.(*save).filter", "capture/filter."}},
	{"syncing", []string{".Sync"}},
	{"compressing", []string{"capture/codec."}},
	{"reading pages", []string{"dump.(*worker).load"}},
	{"writing", []string{".WriteAt"}},
	{"zero tests, hashes and twins", []string{"dump.(*worker)"}},
	{"the rest", []string{""}},
}

// split is where the time of one dump went, in seconds.
type split struct {
	Wall, CPU map[string]float64
}

// profile writes dumps of a core and prints the split of one.
func profile(ctx context.Context, core, name, level, out string) error {
	id, err := codec.Parse(name)
	if err != nil {
		return err
	}
	d, err := strconv.Atoi(level)
	if err != nil {
		return err
	}
	samples := out + ".pprof"
	defer os.Remove(samples)
	f, err := os.Create(samples)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	s, n := split{Wall: map[string]float64{}}, 0.0
	for start := time.Now(); n == 0 || time.Since(start) < profileFor; n++ {
		if err := s.dump(ctx, core, capture.SaveOptions{Level: d, Codec: id}, out); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	if s.CPU, err = cpuParts(ctx, samples); err != nil {
		return err
	}
	for _, m := range []map[string]float64{s.Wall, s.CPU} {
		for k := range m {
			m[k] /= n
		}
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// dump writes one dump and adds the time of its steps.
func (s *split) dump(ctx context.Context, core string, opt capture.SaveOptions, out string) error {
	start := time.Now()
	src, err := vmcore.OpenPath(core)
	if err != nil {
		return err
	}
	defer src.Close()
	dir, err := target.NewDir(filepath.Dir(out))
	if err != nil {
		return err
	}
	defer dir.Close()
	dir.Overwrite = true
	file, err := dir.Create(filepath.Base(out))
	if err != nil {
		return err
	}
	defer file.Abandon()
	timed := &timedFile{File: file}
	res, err := capture.Save(ctx, src, timed, opt)
	if err == nil {
		err = file.Commit()
	}
	if err != nil {
		return err
	}
	for _, step := range res.Steps {
		s.Wall[step.Name] += step.Seconds
	}
	s.Wall["sync"] += timed.synced.Seconds()
	s.Wall["all"] += time.Since(start).Seconds()
	return nil
}

// timedFile takes the time of syncing.
type timedFile struct {
	target.File
	synced time.Duration
}

func (f *timedFile) Sync() error {
	defer func(start time.Time) { f.synced += time.Since(start) }(time.Now())
	return f.File.Sync()
}

// Allocate is the file's own.
func (f *timedFile) Allocate(off, n int64) error {
	return f.File.(interface{ Allocate(off, n int64) error }).Allocate(off, n)
}

// sampled is the first line of a stack as pprof prints it: its time and its function.
var sampled = regexp.MustCompile(`^\s*([\d.]+)(ms|s|us|mins)\s+(.*)$`)

// cpuParts sums the samples of a profile by part.
func cpuParts(ctx context.Context, samples string) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", samples)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("bench: go tool pprof: %w\n%s", err, errs.String())
	}
	return partsOf(string(out)), nil
}

// partsOf reads what pprof prints: stacks, the innermost function first, between lines
// of dashes.
func partsOf(traces string) map[string]float64 {
	sum := map[string]float64{}
	var stack []string
	spent := 0.0
	end := func() {
		if spent > 0 {
			sum[partOf(strings.Join(stack, "\n"))] += spent
		}
		stack, spent = stack[:0], 0
	}
	lines := bufio.NewScanner(strings.NewReader(traces))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(strings.TrimSpace(line), "-----") {
			end()
		} else if m := sampled.FindStringSubmatch(line); m != nil && spent == 0 {
			v, _ := strconv.ParseFloat(m[1], 64)
			spent = v * map[string]float64{"us": 1e-6, "ms": 1e-3, "s": 1, "mins": 60}[m[2]]
			stack = append(stack, m[3])
		} else {
			stack = append(stack, line)
		}
	}
	end()
	return sum
}

func partOf(stack string) string {
	for _, p := range parts {
		for _, f := range p.functions {
			if strings.Contains(stack, f) {
				return p.name
			}
		}
	}
	return ""
}
