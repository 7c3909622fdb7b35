//go:build net

package main

import "github.com/gokdump/gokdump/capture/plan"

// remoteOpeners are those that need the network.
func remoteOpeners() map[plan.Kind]opener { return nil }
