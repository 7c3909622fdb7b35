//go:build !stack

package main

import (
	"github.com/gokdump/gokdump/initramfs/blkid"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// finder looks for disks and partitions.
func finder(*boot.Log) boot.FindFunc { return new(blkid.Finder).Find }
