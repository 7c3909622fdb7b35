package crypt

import (
	"filippo.io/age"
	"github.com/gokdump/gokdump/capture/target"
)

// Target is a target whose files are encrypted. Names are as they are given: see
// [Suffix].
type Target struct {
	target.Target
	to []age.Recipient
}

// NewTarget makes all that is created in t readable by the recipients only.
func NewTarget(t target.Target, to []age.Recipient) *Target { return &Target{t, to} }

// Create implements [target.Target].
func (t *Target) Create(name string) (target.File, error) {
	out, err := t.Target.Create(name)
	if err != nil {
		return nil, err
	}
	f, err := NewFile(out, t.to)
	if err != nil {
		out.Abandon()
		return nil, err
	}
	f.once = target.IsSequential(t.Target)
	return f, nil
}

// Sequential tells whether the target below takes files from front to back only.
func (t *Target) Sequential() bool { return target.IsSequential(t.Target) }

// Sub implements [target.Target].
func (t *Target) Sub(name string) (target.Target, error) {
	sub, err := t.Target.Sub(name)
	if err != nil {
		return nil, err
	}
	return NewTarget(sub, t.to), nil
}
