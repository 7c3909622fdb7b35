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

// limits says what keeps a figure from its bar, where a profile told. The last one
// that fits counts.
var limits = []struct{ figure, why string }{
	{"wall", "CPU time of both is in the table; on a machine with other work, wall times say little"},
	{"wall, -d 31", "so short a run is start, filter, reading back and syncing for a good part, which does not depend on the codec; the reference does not read back"},
	{"wall, -d 1", "of our CPU time the encoder takes 66 % (zlib, zstd) or 57 % (lzo), the kernel's copying of pages out of the page cache of the core and into that of the dump 27 to 33 %, tests for zeros, hashes and the table of equal pages 2.5 to 5 %, the filter less than 0.5 %; the floors below tell what the copying alone takes"},
	{"wall, -d 31, zstd", "finding matches is a third of our encoder's time, the codes of sequences another, those of literals a fifth; libzstd 1.5.7 is faster by about a quarter on one CPU, and its output 0.5 % larger"},
	{"wall, -d 1, zstd", "finding matches is a third of our encoder's time, the codes of sequences another, those of literals a fifth; libzstd 1.5.7 is faster by about a quarter on one CPU, and its output 0.5 % larger"},
	{"wall, -d 31, zlib", "half of the time is finding matches and writing symbols, a quarter making the code and telling it; the rest is the checksum, copies and counting"},
	{"wall, -d 1, zlib", "half of the time is finding matches and writing symbols, a quarter making the code and telling it; the rest is the checksum, copies and counting"},
	{"wall, -d 31, lzo", "liblzo2 is faster by about a fifth on one CPU: nearly all of our time is finding matches, and most of that is branches that nobody can foretell"},
	{"the filter and reading", "a struct page costs some 30 ns, of which 10 are the read: the rest is the rules, which look at flags, mapping, counts and types of each page that is neither free nor a tail, and count what contradicts itself"},
	{"time for each TiB", "1 TiB takes seconds, so that other work on the machine shows; and of larger machines the table of equal pages holds a smaller part"},
	{"2 workers", "runs of about a second: what differs is the noise of the machine"},
	{"8 workers", "no more workers are started than there are CPUs: what differs is the noise of the machine"},
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
		case f.value > f.bar:
			verdict = "**missed**"
			missed = append(missed, f)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", f.name, bar, value, verdict, f.ours, f.ref)
	}
	if len(missed) > 0 {
		b.WriteString("\n## What limits the missed ones\n\n")
	}
	for _, f := range missed {
		why := "not known: profile it with `perf record -e cpu-clock build/kdump-vmcore dump ...`"
		for _, l := range limits {
			if strings.HasPrefix(f.name, l.figure) {
				why = l.why
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
