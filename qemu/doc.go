// Package qemu is a virtual machine as a Go value: what it boots, its disks, its
// console and its end. The smoke tests and the demonstration are built on it.
//
// It owns QEMU's command line, the console with its log, the deadline of a
// machine and disk images made on demand. It never touches a process that it did
// not start, never mounts anything on the host and needs no root. Nothing outside
// qemu/ imports it.
//
// Facts come from qemu-system-x86_64(1) of QEMU 7.2, mke2fs(8), debugfs(8) and
// e2fsck(8).
package qemu
