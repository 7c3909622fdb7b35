//go:build stack

package main

import (
	"github.com/gokdump/gokdump/initramfs/assemble"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// finder looks for devices, and puts together those that are made of others.
func finder(log *boot.Log) boot.FindFunc { return (&assemble.Builder{Say: log.Infof}).Find }
