package lab

import (
	"errors"
	"io"
	"iter"

	"github.com/gokdump/gokdump/initramfs/archive"
)

// entries gives an archive's entries up to its end or the first error.
func entries(r *archive.Reader) iter.Seq2[archive.File, error] {
	return func(yield func(archive.File, error) bool) {
		for {
			f, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}
