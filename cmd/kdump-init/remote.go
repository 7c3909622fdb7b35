//go:build net

package main

import "github.com/gokdump/gokdump/capture/plan"

// remoteOpeners are those that need the network. They share it.
func (n *network) openers() map[plan.Kind]opener {
	return map[plan.Kind]opener{plan.KindNFS: n.openNFS, plan.KindSSH: n.openSSH, plan.KindS3: n.openS3}
}
