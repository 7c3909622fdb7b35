//go:build raw

package main

import (
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/raw"
)

// rawOpeners open block devices without a file system.
func rawOpeners() map[plan.Kind]opener { return map[plan.Kind]opener{plan.KindRaw: openRaw} }

const stepRaw = "open raw device"

// openRaw finds a block device without a file system and takes it for dumps.
func openRaw(r request) (target.Target, error) {
	device, err := findDevice(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := r.within(stepRaw, "mount", r.deadlines.Mount)
	defer cancel()
	return openWithin(ctx, stepRaw, func() (target.Target, error) { return raw.Open(device) })
}
