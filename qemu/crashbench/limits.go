package main

import (
	"fmt"
	"strings"
)

// profile is what a CPU profile of kdump-init's worker said in such a machine: one CPU,
// 192 MiB reserved, 2 GiB to be filtered; shares of its samples.
const profile = `A CPU profile of kdump-init's worker in the crash kernel (one CPU, the runtime's own profiler, taken once, by a
kdump-init built for it), in shares of its samples:

| | zstd | lzo |
|---|---|---|
| compressing pages | 68 % | 32 % |
| writing to the file | 4 % | 14 % |
| reading memory out of /proc/vmcore | 4 % | 10 % |
| reading struct pages and deciding | 5 % | 9 % |
| looking for pages with the same bytes | 2 % | 4 % |
| reading back | 2 % | 5 % |

The rest is the runtime and other system calls. In these machines the processor is emulated and the disk is not,
so that compressing is most of what an image does; on hardware, the disk's and the kernel's own waits have a larger share.
`

// memory is what the consoles said, with Debian's 6.1, where the reservation was too small.
const memory = `
With crashkernel=68M it is the Go runtime that gives up, at the start of /init: it asks for 32 MiB of addresses for
its table of heap arenas, more than there is memory, and the kernel's heuristic for overcommitment refuses. With 60M
the kernel does not get as far as to unpack an image.
`

// limits tells what keeps the ratios from being smaller.
func (b *bench) limits(t *strings.Builder, small []subject) {
	fmt.Fprintf(t, "\n## What limits\n\n")
	var best, until float64
	for _, s := range small {
		runs := b.state.Runs[s.name]
		if m := median(values(runs, toReset)); !isOurs(s) && (best == 0 || m < best) {
			best, until = m, median(values(runs, func(c crash) float64 { return c.Init }))
		}
	}
	fmt.Fprintf(t, "In the small guest, %.1f of the best peer's %.1f s are over before any image runs: the panic itself, the check of the\n"+
		"loaded kernel by purgatory, its unpacking, its boot. An image that takes no time at all would have a ratio of %.2f", until, best, until/best)
	if left := barBusybox*best - until; left > 0 {
		fmt.Fprintf(t, ";\nfor one of %.2f, ours may take %.1f s", barBusybox, left)
	} else {
		fmt.Fprintf(t, ",\nso that no image reaches %.2f here", barBusybox)
	}
	fmt.Fprintf(t, ". All images are loaded by kdump-arm, with the same command line: what it takes off the\nboot it takes off the peers' too.\n\n")
	t.WriteString(profile)
	t.WriteString(memory)
}
