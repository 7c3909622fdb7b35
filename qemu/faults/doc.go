// Command faults breaks a machine in one way after another while it captures a
// crash, and tells for each what was saved and how long the machine took to come
// back. A fault whose end is not the expected one, a complete name on bad content,
// or a machine that is left hanging makes it fail.
//
// It owns the list of faults and the judgement of their ends. Disks that fail are
// package nbd's; the order of a crash is package lab's.
package main
