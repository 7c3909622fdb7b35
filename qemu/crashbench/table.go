package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// bars of the comparison with the best of a kind of peer.
const (
	barBusybox = 0.5
	barTools   = 0.3
)

// Names of subjects that are compared with each other.
const (
	oursZstd = "gokdump (zstd)"
	oursLZO  = "gokdump (lzo)"
	peerLZO  = "busybox + makedumpfile -l"
	peerZlib = "busybox + makedumpfile -c"
)

// values takes one figure out of all runs of a subject, sorted.
func values(runs []crash, of func(crash) float64) []float64 {
	var all []float64
	for _, c := range runs {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all
}

func median(sorted []float64) float64 { return sorted[len(sorted)/2] }

func toReset(c crash) float64 { return c.Reset }

// table is the document.
func (b *bench) table(small, whole []subject) string {
	var t strings.Builder
	fmt.Fprintf(&t, "# From panic to reset, against other crash images\n\nWritten by `make bench-vm`; do not edit.\n\n")
	fmt.Fprintf(&t, "- %s; commit %s; %d CPUs of the host; machines of 2 CPUs, emulated by QEMU (%s)\n", time.Now().UTC().Format(time.DateOnly),
		b.state.Commit, runtime.NumCPU(), b.lab.Accel)
	fmt.Fprintf(&t, "- kernel %s, crashed by sysrq; medians of %d crashes, in turns; dump level 31; ext4 on virtio-blk\n", b.lab.Kernel.Release, b.runs)
	fmt.Fprintf(&t, "- the time is from the kernel's panic message to the machine's reset, so it holds the boot of the crash kernel, which is the same for all\n")
	b.part(&t, fmt.Sprintf("A small guest of %d MiB", b.memory), small, barBusybox)
	b.alike(&t)
	b.phases(&t, small)
	b.part(&t, "A whole Debian with systemd, 1 GiB", whole, barTools)
	if b.floor {
		b.floors(&t, small)
	}
	b.limits(&t, small)
	return t.String()
}

func isOurs(s subject) bool { return strings.Contains(s.name, "gokdump") }

// part is the table of one kind of machine.
func (b *bench) part(t *strings.Builder, title string, list []subject, bar float64) {
	fmt.Fprintf(t, "\n## %s\n\n| crash image | panic to reset | of all runs | image | dump |\n|---|---|---|---|---|\n", title)
	var ours, best float64
	for _, s := range list {
		runs := b.state.Runs[s.name]
		all := values(runs, toReset)
		m := median(all)
		if !isOurs(s) && (best == 0 || m < best) {
			best = m
		}
		if isOurs(s) && ours == 0 {
			ours = m // the first is what users get
		}
		image := "-"
		if last := runs[len(runs)-1]; last.Image > 0 {
			image = fmt.Sprintf("%.2f MB", float64(last.Image)/1e6)
		}
		dump := median(values(runs, func(c crash) float64 { return float64(c.Dump) }))
		fmt.Fprintf(t, "| %s | %.1f s | %.1f to %.1f s | %s | %.1f MB |\n", s.name, m, all[0], all[len(all)-1], image, dump/1e6)
	}
	fmt.Fprintf(t, "\nRatio of ours, zstd, to the best peer: %.2f; bar %.2f: %s.\n", ours/best, bar, verdict(ours <= bar*best))
}

// alike compares what does the same work: the same algorithm, and dumps of about the
// same size.
func (b *bench) alike(t *strings.Builder) {
	ratio := func(ours, peer string) float64 {
		return median(values(b.state.Runs[ours], toReset)) / median(values(b.state.Runs[peer], toReset))
	}
	fmt.Fprintf(t, "Like with like, LZO on both sides: %.2f; the smaller dumps, our zstd and the peer's zlib: %.2f.\n",
		ratio(oursLZO, peerLZO), ratio(oursZstd, peerZlib))
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

// phases tells where the time goes.
func (b *bench) phases(t *strings.Builder, list []subject) {
	fmt.Fprintf(t, "\nOf that, medians in seconds: from the panic until the crash kernel has been checked and unpacked, until it\nstarts /init, and what /init takes until the reset.\n\n| crash image | to the crash kernel | its boot | /init |\n|---|---|---|---|\n")
	for _, s := range list {
		runs := b.state.Runs[s.name]
		mid := func(of func(crash) float64) float64 { return median(values(runs, of)) }
		fmt.Fprintf(t, "| %s | %.2f | %.2f | %.2f |\n", s.name, mid(func(c crash) float64 { return c.Kernel }),
			mid(func(c crash) float64 { return c.Init - c.Kernel }), mid(func(c crash) float64 { return c.Reset - c.Init }))
	}
	for _, s := range list {
		if !isOurs(s) {
			continue
		}
		runs := b.state.Runs[s.name]
		fmt.Fprintf(t, "\n%s, by the capture's own report:", s.name)
		for i, step := range runs[0].Steps {
			of := values(runs, func(c crash) float64 { return c.Steps[min(i, len(c.Steps)-1)].Seconds })
			fmt.Fprintf(t, " %s %.2f;", step.Name, median(of))
		}
		fmt.Fprintln(t)
	}
}

// floors is the table of the smallest reservations.
func (b *bench) floors(t *strings.Builder, list []subject) {
	fmt.Fprintf(t, "\n## The smallest crashkernel= that captures\n\nIn steps of %d MiB, one crash each.\n\n| crash image | crashkernel= |\n|---|---|\n", floorStep)
	var ours, peer int
	for _, s := range list {
		f := b.state.Floors[s.name]
		if f == nil {
			continue
		}
		fmt.Fprintf(t, "| %s | %dM |\n", s.name, f.High)
		if isOurs(s) {
			ours = f.High
		} else {
			peer = f.High
		}
	}
	fmt.Fprintf(t, "\nBar, no more than the peer: %s.\n", verdict(ours <= peer))
}
