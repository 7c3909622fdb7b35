//go:build !net

package main

import "github.com/gokdump/gokdump/capture/plan"

// remoteOpeners: this flavour knows disks only.
func remoteOpeners() map[plan.Kind]opener { return nil }
