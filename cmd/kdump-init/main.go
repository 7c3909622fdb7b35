// Command kdump-init is PID 1 of a crash kernel: it reads /plan.json, saves the
// crashed kernel's log and memory as the plan says, and restarts the machine.
//
// It runs as two processes of one binary. PID 1 ([supervisor]) mounts the
// kernel's file systems, holds the last-resort timer, the hardware watchdog and
// the rescue console, and in the end powers down. It starts the second one
// ([worker]), which loads modules, finds and mounts the target and captures. So
// whatever ends a process in the middle of a capture - the crash kernel's
// out-of-memory killer before all, a panic, a bus error - ends in a message and
// the failure action, and not in a kernel that lost its init.
//
// The command decides nothing that the plan does not say; what it does with the
// machine is initramfs/boot's, with the core capture's.
package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const usage = `kdump-init is the init of a crash image: kdump-mkinitramfs puts it there as
/init, and the crash kernel starts it as PID 1. It is of no use elsewhere.

It reads /plan.json and these words of the kernel's command line:
  gokdump.shell   a failure ends in the rescue console, whatever the plan says
  gokdump.debug   log details

Exit status: 2, after this text.
`

// workerArg makes the binary the worker; see [worker]. The index of the target
// to begin with follows.
const workerArg = "--worker-of-pid-1"

func main() {
	switch {
	case os.Getpid() == 1 && inInitramfs():
		initMain()
	case os.Getppid() == 1 && len(os.Args) == 3 && os.Args[1] == workerArg && inInitramfs():
		first, err := strconv.Atoi(os.Args[2])
		if err == nil && first >= 0 {
			os.Exit(workerMain(first))
		}
	}
	fmt.Fprint(os.Stderr, usage)
	os.Exit(2)
}

// inInitramfs tells whether / is the kernel's rootfs: a ramfs or a tmpfs. PID 1
// of a container, which could restart the host by sysrq, has something else.
// When in doubt it is one.
func inInitramfs() bool {
	var st unix.Statfs_t
	if unix.Statfs("/", &st) != nil {
		return true
	}
	return st.Type == unix.RAMFS_MAGIC || st.Type == unix.TMPFS_MAGIC
}
