// Package nbd is a disk with faults: a server for QEMU's network block device
// whose disk forgets what was not flushed when its power is cut, lies about
// flushes, fails writes or stops answering, as it is told.
//
// It owns one connection to one image file at a time, and knows no file system.
// It is for tests only.
//
// Facts: the NBD project's doc/proto.md (fixed newstyle negotiation, simple
// replies).
package nbd
