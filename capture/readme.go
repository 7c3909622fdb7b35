package capture

import (
	"fmt"
	"strings"
	"time"
)

// readme is the report for a person: README.txt. It ends with the commands that
// open the dump, since whoever finds the file may never have seen one.
func readme(r *Report) string {
	var b strings.Builder
	title := "Crash dump of " + r.Host
	fmt.Fprintf(&b, "%s\n%s\n\n", title, strings.Repeat("=", len(title)))

	row := func(name, format string, a ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name+":", fmt.Sprintf(format, a...))
	}
	switch r.Result {
	case Complete:
		how := "read back and synced"
		if r.Proof != "" {
			how = "and is confirmed by " + r.Proof
		}
		row("Result", "COMPLETE: the dump was written, %s", how)
	case Partial:
		row("Result", "PARTIAL: %d pages that belong into the dump are not in it (%s: %s)",
			r.LeftOutPages+r.UnreadablePages, r.FailedStep, r.Error)
	case LogOnly:
		row("Result", "LOG ONLY: a crash loop: %s", r.Loop)
	default:
		row("Result", "FAILED at %q: %s", r.FailedStep, r.Error)
	}
	row("Crashed", "%s", r.CrashTime.UTC().Format("2006-01-02 15:04:05 UTC"))
	if r.Kernel != "" {
		row("Kernel", "%s %s %s", r.Kernel, r.Machine, r.Build)
	}
	if r.BuildID != "" {
		row("Build ID", "%s", r.BuildID)
	}
	if r.Panic != "" {
		row("Panic", "%s", r.Panic)
	}
	if r.RAMPages > 0 {
		row("Memory", "%s, %d CPUs with registers", Bytes(r.RAMPages*r.PageSize), r.CPUs)
	}
	row("Target", "%s", r.Target)
	row("Directory", "%s", r.Dir)
	row("Captured", "%s, in %s", r.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
		r.Finished.Sub(r.Started).Round(100*time.Millisecond))

	dumpName := r.writeFiles(&b)
	r.writePages(&b)
	r.writeSteps(&b)
	if len(r.Removed) > 0 {
		fmt.Fprintf(&b, "\nOld dumps that were removed\n---------------------------\n%s\n", strings.Join(r.Removed, "\n"))
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintf(&b, "\nWarnings\n--------\n")
		for _, w := range r.Warnings {
			fmt.Fprintf(&b, "- %s\n", w)
		}
	}
	if dumpName != "" {
		r.writeHowTo(&b, dumpName)
	}
	return b.String()
}

func (r *Report) writeFiles(b *strings.Builder) (dumpName string) {
	if len(r.Files) == 0 {
		return ""
	}
	fmt.Fprintf(b, "\nFiles\n-----\n")
	for _, f := range r.Files {
		note := ""
		switch strings.TrimSuffix(f.Name, EncryptedSuffix) {
		case LogName:
			note = "the crashed kernel's log"
		case CaptureLogName:
			note = "the log of the kernel that captured"
		case DumpName, PartialName, FlatName, PartialFlatName:
			dumpName = f.Name
			note = fmt.Sprintf("its memory: %d pages, level %d, %s", r.StoredPages, r.Level, r.Codec)
		}
		fmt.Fprintf(b, "%-18s %10s  %s\n", f.Name, Bytes(uint64(f.Bytes)), note)
	}
	return dumpName
}

func (r *Report) writePages(b *strings.Builder) {
	if r.RAMPages == 0 {
		return
	}
	fmt.Fprintf(b, "\nPages of %d bytes\n-----\n", r.PageSize)
	line := func(name string, n uint64) {
		fmt.Fprintf(b, "%-18s %10d  %5.1f %%\n", name, n, 100*float64(n)/float64(r.RAMPages))
	}
	line("RAM", r.RAMPages)
	for _, c := range sortedKeys(r.Pages) {
		line(c, r.Pages[c])
	}
	line("stored", r.StoredPages)
	if r.LeftOutPages > 0 {
		line("LEFT OUT", r.LeftOutPages)
	}
	if r.UnreadablePages > 0 {
		line("UNREADABLE", r.UnreadablePages)
	}
}

func (r *Report) writeSteps(b *strings.Builder) {
	fmt.Fprintf(b, "\nSteps\n-----\n")
	for _, s := range r.Steps {
		state := "ok"
		if s.Error != "" {
			state = "FAILED: " + s.Error
		}
		fmt.Fprintf(b, "%-18s %8.2f s  %s\n", s.Name, s.Seconds, state)
	}
}

func (r *Report) writeHowTo(b *strings.Builder, dump string) {
	vmlinux := "vmlinux"
	if r.Kernel != "" {
		vmlinux = "/usr/lib/debug/boot/vmlinux-" + r.Kernel
	}
	fmt.Fprintf(b, "\nTo open the dump\n----------------\n")
	if plain, ok := strings.CutSuffix(dump, EncryptedSuffix); ok {
		fmt.Fprintf(b, "It is encrypted. On a machine that has the private key, in this directory:\n\n    kdump-vmcore decrypt -i KEYFILE .\n\n")
		dump = plain
	}
	if dump == FlatName || dump == PartialFlatName {
		plain := strings.TrimSuffix(dump, ".flat")
		fmt.Fprintf(b, "%s is in the flattened format, since the target takes files from front to back\nonly. Make a plain dump of it first, with one of these:\n\n", dump)
		fmt.Fprintf(b, "    kdump-vmcore convert -R %s < %s\n", plain, dump)
		fmt.Fprintf(b, "    makedumpfile -R %s < %s\n\n", plain, dump)
		dump = plain
	}
	fmt.Fprintf(b, "The debug symbols must be those of exactly this kernel (on Debian the package\nlinux-image-%s-dbg has them):\n\n", r.Kernel)
	fmt.Fprintf(b, "    drgn -c %s -s %s\n", dump, vmlinux)
	fmt.Fprintf(b, "    crash %s %s        (crash 8.0.4 or newer)\n", vmlinux, dump)
	fmt.Fprintf(b, "    kdump-vmcore info %s     (no symbols needed)\n", dump)
}

// Bytes writes a size as people read it: 1.5 MiB.
func Bytes(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 1024 && unit < 5 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", v, " KMGTP"[unit])
}
