//go:build net && !s3

package main

import (
	"errors"

	"github.com/gokdump/gokdump/capture/target"
)

// openS3: this flavour cannot.
func (*network) openS3(request) (target.Target, error) {
	return nil, errors.New("this kdump-init was built without s3: build the image anew with kdump-mkinitramfs")
}
