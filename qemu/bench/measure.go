package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sample is one run of a program.
type Sample struct {
	Wall, CPU time.Duration
	// Private is the peak of RssAnon of /proc/PID/status, in bytes: memory that
	// belongs to the process alone. Both programs also map the core's file,
	// whose pages belong to the page cache, and of /proc/vmcore to nobody.
	Private int64
	// Bytes is the size of the output.
	Bytes int64
	// Least and Most are the extremes of Wall, if it is a median.
	Least, Most time.Duration
}

// spread tells of the extremes.
func (s Sample) spread() string {
	return fmt.Sprintf("%.2f to %.2f s", s.Least.Seconds(), s.Most.Seconds())
}

// rssEvery is how often a process is looked at.
const rssEvery = 4 * time.Millisecond

// run runs argv once and waits for what it wrote to be on the disk, if out is not
// empty: a dump that is not there does not count.
func run(ctx context.Context, out string, argv ...string) (Sample, error) {
	var s Sample
	if out != "" {
		if err := os.Remove(out); err != nil && !os.IsNotExist(err) {
			return s, err
		}
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	done := make(chan int64)
	quit := make(chan struct{})
	go func() { done <- peak(cmd.Process.Pid, quit) }()
	err := cmd.Wait()
	if err == nil && out != "" {
		err = syncFile(out)
	}
	s.Wall = time.Since(start)
	close(quit)
	s.Private = <-done
	if err != nil {
		return s, fmt.Errorf("bench: %s: %w\n%.2000s", strings.Join(argv, " "), err, said.String())
	}
	use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	s.CPU = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	if out != "" {
		st, err := os.Stat(out)
		if err != nil {
			return s, err
		}
		s.Bytes = st.Size()
	}
	return s, nil
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// peak watches a process until quit is closed.
func peak(pid int, quit <-chan struct{}) int64 {
	most := int64(0)
	tick := time.NewTicker(rssEvery)
	defer tick.Stop()
	for {
		most = max(most, rssAnon(pid))
		select {
		case <-quit:
			return most
		case <-tick.C:
		}
	}
}

// rssAnon is what a process has for itself, in bytes; 0 when it is gone.
func rssAnon(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// median is the middle one of the samples by each figure on its own.
func median(all []Sample) Sample {
	sorted := func(f func(Sample) int64) []int64 {
		var v []int64
		for _, s := range all {
			v = append(v, f(s))
		}
		slices.Sort(v)
		return v
	}
	mid := func(f func(Sample) int64) int64 { return sorted(f)[len(all)/2] }
	walls := sorted(func(s Sample) int64 { return int64(s.Wall) })
	return Sample{
		Least:   time.Duration(walls[0]),
		Most:    time.Duration(walls[len(walls)-1]),
		Wall:    time.Duration(mid(func(s Sample) int64 { return int64(s.Wall) })),
		CPU:     time.Duration(mid(func(s Sample) int64 { return int64(s.CPU) })),
		Private: mid(func(s Sample) int64 { return s.Private }),
		Bytes:   mid(func(s Sample) int64 { return s.Bytes }),
	}
}
