package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func ratio[T ~int64](a, b T) float64 { return float64(a) / float64(b) }
func mib(n int64) float64            { return float64(n) / (1 << 20) }
func mb(n int64) string              { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
func contains(s, sub string) bool    { return strings.Contains(s, sub) }
func seconds(s Sample) string {
	return fmt.Sprintf("%.2f s (CPU %.2f s)", s.Wall.Seconds(), s.CPU.Seconds())
}

// reasons say what a figure that misses its bar has against it, beside what is measured
// of it in each run. All that fit are told.
var reasons = []struct{ figure, why string }{
	{"wall, -d 31", "the reference reads nothing back"},
	{", zstd, ", "on one CPU the encoder is slower than libzstd by 3 to 10 %, and its output smaller"},
	{", lzo, ", "on one CPU the encoder is slower than liblzo2 by 15 to 20 %: nearly all of its time is finding matches, which is one load that waits for another, and branches that cannot be foretold"},
	{"the filter and reading", "beside the read, rules look at flags, mapping, counts and type of each struct page"},
	{"time for each TiB", "1 TiB takes seconds, so that other work on the machine shows"},
	{"workers and 1", "no more workers are started than there are CPUs"},
}

// table is the document.
func table(figures []figure, machine []string) string {
	var b strings.Builder
	b.WriteString("# Measured against makedumpfile\n\nWritten by `make bench`; do not edit. Ratios are ours divided by the best that a reference reached, so less is\n" +
		"better; a bar is the most that a ratio, or a figure with a unit, may be.\n\n")
	for _, m := range machine {
		fmt.Fprintf(&b, "- %s\n", m)
	}
	b.WriteString("\n| figure | bar | measured | | ours | reference |\n|---|---|---|---|---|---|\n")
	var missed []figure
	for _, f := range figures {
		verdict, bar := "met", fmt.Sprintf("%.2f", f.bar)
		value := fmt.Sprintf("%.2f", f.value)
		if f.unit != "" {
			bar, value = fmt.Sprintf("%.3g %s", f.bar, f.unit), fmt.Sprintf("%.3g %s", f.value, f.unit)
		}
		switch {
		case f.value == 0:
			value, verdict = "-", f.note
		case f.bar == 0:
			bar, verdict = "-", ""
		case f.missed():
			verdict = "**missed**"
			missed = append(missed, f)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", f.name, bar, value, verdict, f.ours, f.ref)
	}
	if len(missed) > 0 {
		b.WriteString("\n## What limits the missed ones\n\n")
	}
	for _, f := range missed {
		why := f.limit
		for _, r := range reasons {
			if strings.Contains(f.name, r.figure) {
				why += "; " + r.why
			}
		}
		fmt.Fprintf(&b, "- %s: %s\n", f.name, why)
	}
	return b.String()
}

// machine describes where and on what it was measured.
func machine(core string, ours string, refs []tool, runs int, out string) []string {
	st, _ := os.Stat(core)
	model := "unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	version := "unknown"
	if b, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		version = strings.TrimSpace(string(b))
	}
	var names []string
	for _, r := range refs {
		names = append(names, r.name)
	}
	return []string{
		fmt.Sprintf("%s; %d x %s; load at the end %s", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), model, firstField(string(load))),
		fmt.Sprintf("ours: commit %s, %s; reference: %s", version, runtime.Version(), strings.Join(names, ", ")),
		fmt.Sprintf("core: %s, %s, of a Debian guest that panicked with six Python programs, page cache of a Debian root, Go's sources and a kernel's debug information, and many files", filepath.Base(core), mb(st.Size())),
		fmt.Sprintf("medians of %d runs, in turns; outputs in %s, each synced within its time", runs, out),
		"private memory: the peak of RssAnon, looked at each 4 ms; pages of mapped files belong to the page cache",
	}
}

func firstField(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return "unknown"
}
