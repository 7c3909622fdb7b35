package main

import (
	"fmt"
	"os/exec"
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

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

// table is the document.
func (b *bench) table(small, whole []subject) string {
	var t strings.Builder
	version, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	fmt.Fprintf(&t, "# From panic to reset, against other crash images\n\nWritten by `make bench-vm`; do not edit.\n\n")
	fmt.Fprintf(&t, "- %s; commit %s; %d CPUs of the host; machines of 2 CPUs, emulated by QEMU (%s)\n", time.Now().UTC().Format(time.DateOnly),
		strings.TrimSpace(string(version)), runtime.NumCPU(), b.lab.Accel)
	fmt.Fprintf(&t, "- kernel %s, crashed by sysrq; medians of %d crashes, in turns; dump level 31; ext4 on virtio-blk\n", b.lab.Kernel.Release, b.runs)
	fmt.Fprintf(&t, "- the time is from the kernel's panic message to the machine's reset, so it holds the boot of the crash kernel, which is the same for all\n")
	part := func(title string, list []subject, bar float64, peer func(string) bool) {
		fmt.Fprintf(&t, "\n## %s\n\n| crash image | panic to reset | of all runs | image | dump |\n|---|---|---|---|---|\n", title)
		var ours, best time.Duration
		for _, s := range list {
			m := median(s.times)
			if peer(s.name) {
				if best == 0 || m < best {
					best = m
				}
			} else if ours == 0 {
				ours = m // the first is what users get
			}
			image := "-"
			if s.image > 0 {
				image = fmt.Sprintf("%.2f MB", float64(s.image)/1e6)
			}
			fmt.Fprintf(&t, "| %s | %.1f s | %.1f to %.1f s | %s | %.1f MB |\n", s.name, m.Seconds(), slices.Min(s.times).Seconds(), slices.Max(s.times).Seconds(), image, float64(s.dump)/1e6)
		}
		r := ours.Seconds() / best.Seconds()
		verdict := "met"
		if r > bar {
			verdict = "**missed**"
		}
		fmt.Fprintf(&t, "\nRatio of ours to the best peer: %.2f; bar %.2f: %s.\n", r, bar, verdict)
	}
	peer := func(name string) bool { return !strings.HasPrefix(name, "gokdump") }
	part(fmt.Sprintf("A small guest of %d MiB", b.memory), small, barBusybox, peer)
	part("A whole Debian with systemd, 1 GiB", whole, barTools, peer)
	if b.floor {
		fmt.Fprintf(&t, "\n## The smallest crashkernel= that captures\n\n| crash image | crashkernel= |\n|---|---|\n")
		for _, s := range small {
			if s.least > 0 {
				fmt.Fprintf(&t, "| %s | %dM |\n", s.name, s.least)
			}
		}
	}
	return t.String()
}
