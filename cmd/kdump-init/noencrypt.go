//go:build !age

package main

import (
	"errors"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// encrypter: this flavour cannot, and saves nothing that should be secret.
func encrypter([]string, *boot.Log) func(target.Target) (target.Target, error) {
	return func(target.Target) (target.Target, error) {
		return nil, errors.New("this kdump-init cannot encrypt: build the image anew with kdump-mkinitramfs")
	}
}
