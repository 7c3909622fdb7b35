// Package boot is what PID 1 of a crash kernel does around a capture: it mounts
// the kernel's file systems, loads the plan's modules, waits for the target's
// device and mounts it, talks to the console and the kernel log, feeds the
// hardware watchdog, and in the end powers the machine down or restarts it,
// whatever is stuck by then.
//
// It owns these steps and the deadline of each. It decides nothing: what to
// load, wait for and mount is in the plan. It never reads the crashed kernel's
// memory, and it never runs a program. Every call into the kernel that may hang
// runs in a goroutine of its own (see [Within]), so that a driver that never
// answers costs a goroutine and not the machine. System calls stand behind
// function values for the tests.
//
// Facts: mount(2), finit_module(2), reboot(2), the kernel's
// Documentation/admin-guide/sysrq.rst, Documentation/watchdog/watchdog-api.rst
// and Documentation/ABI/testing/dev-kmsg.
package boot
