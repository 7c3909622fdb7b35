//go:build net

package main

import "github.com/gokdump/gokdump/capture/plan"

// remoteOpeners are those that need the network. They share it.
func remoteOpeners() map[plan.Kind]opener {
	n := new(network)
	return map[plan.Kind]opener{plan.KindNFS: n.openNFS, plan.KindSSH: n.openSSH, plan.KindS3: n.openS3}
}
