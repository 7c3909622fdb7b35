//go:build net

package main

import (
	"os"

	"github.com/gokdump/gokdump/capture/plan"
)

// readFile gives one of the plan's files.
func readFile(name string) ([]byte, error) { return os.ReadFile(plan.FilePath(name)) }

// openers are those that need the network. They share it.
func (n *network) openers() map[plan.Kind]opener {
	return map[plan.Kind]opener{plan.KindNFS: n.openNFS, plan.KindSSH: n.openSSH, plan.KindS3: n.openS3}
}
