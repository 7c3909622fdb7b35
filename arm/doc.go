// Package arm makes a machine ready to dump: it derives the crash kernel's
// command line, checks that kernel and image fit the reservation and each
// other, loads them, reads the result back, remembers what it loaded, and when a
// load fails puts back the last pair that worked.
//
// It owns the rules for the command line, the record of what is armed
// (/run/gokdump/armed.json) and the last good pair (/var/lib/gokdump/last-good).
// It never builds an image, never changes the boot loader or a sysctl, and never
// makes a system call itself: that is arm/kexec.
//
// The command line rules come from what the distributions' kdump scripts do to
// it, each with its reason, and from
// Documentation/admin-guide/kernel-parameters.txt of Linux 6.1 to 6.18.
package arm
