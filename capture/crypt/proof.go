package crypt

import "github.com/gokdump/gokdump/capture/target"

var _ target.Prover = (*File)(nil)

// Proof implements [target.Prover], if the file below does.
func (f *File) Proof() string {
	if p, ok := f.out.(target.Prover); ok {
		return p.Proof()
	}
	return ""
}

// Doubtful tells whether what the file below confirmed may be lost all the same;
// then all is to be read back.
func (f *File) Doubtful() bool {
	d, ok := f.out.(interface{ Doubtful() bool })
	return ok && d.Doubtful()
}
