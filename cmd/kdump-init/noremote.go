//go:build !net

package main

import (
	"context"
	"errors"

	"github.com/gokdump/gokdump/capture/plan"
)

// network: this flavour has none.
type network struct{}

func (*network) openers() map[plan.Kind]opener { return nil }

func (*network) ask(context.Context, string, []string, int) ([]string, error) {
	return nil, errors.New("this kdump-init has no network: build the image anew with kdump-mkinitramfs")
}
