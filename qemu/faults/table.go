package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/gokdump/gokdump/qemu/lab"
)

// table is the document.
func table(l *lab.Lab, rows []row) string {
	var b strings.Builder
	b.WriteString("# What is saved when things break\n\nWritten by `make test-faults`; do not edit.\n\n")
	fmt.Fprintf(&b, "Kernel %s in machines that QEMU (%s) emulates, %s. The time is from the panic to the machine's reset:\n"+
		"the boot of the crash kernel, the capture, and, where something is waited for in vain, a deadline. With disks\n"+
		"that fail these are 15 s for a device, a mount, a stall and the reboot; with servers they are those of a configuration\n"+
		"that names none, but for what the row says. What goes to a server goes at 8 MiB/s, so that what breaks in the\n"+
		"copy does so on any machine.\n"+
		"After each fault the file system is checked, every file that has a complete dump's name is verified as one,\n"+
		"and a log that has its name must hold the panic.\n\n", l.Kernel.Release, l.Accel, time.Now().UTC().Format(time.DateOnly))
	b.WriteString("| fault | | what was saved | time to reboot |\n|---|---|---|---|\n")
	for _, r := range rows {
		took := fmt.Sprintf("%.0f s", r.toEnd.Seconds())
		if r.toEnd == 0 {
			took = "-"
		}
		saved := r.saved
		if r.err != nil {
			saved = "**NOT AS EXPECTED** " + strings.SplitN(r.err.Error(), "\n", 2)[0]
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.name, r.about, saved, took)
	}
	return b.String()
}
