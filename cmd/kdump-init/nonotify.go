//go:build !(notify && net)

package main

import (
	"context"
	"errors"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
)

// post: this flavour cannot.
func (*network) post(context.Context, *plan.Notify, *capture.Report, target.Target) error {
	return errors.New("this kdump-init cannot notify: build the image anew with kdump-mkinitramfs")
}
