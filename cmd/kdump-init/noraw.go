//go:build !raw

package main

import "github.com/gokdump/gokdump/capture/plan"

// rawOpeners: this flavour knows file systems only.
func rawOpeners() map[plan.Kind]opener { return nil }
