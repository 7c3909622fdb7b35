// Package smoke crashes real kernels in virtual machines and opens what is left.
// Its tests are built with the tag vm, since they need QEMU and what
// scripts/setup installs:
//
//	make test-vm
//	go test -tags vm ./qemu/smoke -run TestFullDisk
//
// It owns no code but tests. What a failed test leaves, its console first of all,
// lies in build/smoke.
package smoke
