//go:build net && !ssh

package main

import (
	"errors"

	"github.com/gokdump/gokdump/capture/target"
)

// openSSH: this flavour cannot.
func (*network) openSSH(request) (target.Target, error) {
	return nil, errors.New("this kdump-init was built without ssh: build the image anew with kdump-mkinitramfs")
}
