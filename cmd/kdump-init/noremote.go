//go:build !net

package main

import "github.com/gokdump/gokdump/capture/plan"

// network: this flavour has none.
type network struct{}

func (*network) openers() map[plan.Kind]opener { return nil }
