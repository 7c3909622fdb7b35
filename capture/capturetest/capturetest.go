// Package capturetest gives tests outside of capture a synthetic crashed machine:
// commands are tested with the core files that it makes.
//
// It owns nothing but these names; the machine itself is capture/internal/synth.
// Only tests import it.
package capturetest

import "github.com/gokdump/gokdump/capture/internal/synth"

// Options describes a machine, Range a piece of its RAM, Run pages of one kind in
// it, and Record a record of its log.
type (
	Options = synth.Options
	Run     = synth.Run
	Record  = synth.Record
	Range   = synth.Range
)

// Kinds of pages.
const (
	Kernel       = synth.Kernel
	Free         = synth.Free
	Anon         = synth.Anon
	Cache        = synth.Cache
	CachePrivate = synth.CachePrivate
	HWPoison     = synth.HWPoison
)

// ELF gives the core file of such a machine.
func ELF(opt Options) []byte { return synth.ELF(opt) }
