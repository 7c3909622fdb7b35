// Command crashbench crashes the same virtual machine again and again with
// different crash images in it, ours and what others would use, and compares how
// long the machine is gone: from the panic to the reset. It also finds the
// smallest crashkernel= with which each saves a dump.
//
// It owns the peers' images, which are made from Debian's own packages: busybox
// with makedumpfile, and the whole of kdump-tools. It judges no dump but by its
// being there and complete.
package main
