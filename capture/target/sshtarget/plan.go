package sshtarget

import (
	"net"
	"strconv"

	"github.com/gokdump/gokdump/capture/plan"
)

// ForPlan puts a target's part of a plan, and its files, together. file gives the
// content of one of the plan's files by its name.
func ForPlan(t plan.Target, file func(name string) ([]byte, error)) (Config, error) {
	s := t.SSH
	c := Config{Addr: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), User: s.User, Path: t.Path}
	var err error
	if c.Key, err = file(s.Key); err != nil {
		return c, err
	}
	c.KnownHosts, err = file(s.KnownHosts)
	return c, err
}
