//go:build age

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/crypt"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/initramfs/boot"
)

// entropyLimit is how long the kernel may take to have random numbers.
const entropyLimit = 60 * time.Second

// encrypter gives what makes a directory of the target one whose files only the
// recipients can read.
func encrypter(recipients []string, log *boot.Log) func(target.Target) (target.Target, error) {
	return func(t target.Target) (target.Target, error) {
		to, err := crypt.ParseRecipients(recipients)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeoutCause(context.Background(), entropyLimit, fmt.Errorf("waited for %v", entropyLimit))
		defer cancel()
		start := time.Now()
		if err := crypt.Ready(ctx); err != nil {
			return nil, err
		}
		log.Infof("encrypting to %d public keys; random numbers were there after %.2f s", len(to), time.Since(start).Seconds())
		return crypt.NewTarget(t, to), nil
	}
}
