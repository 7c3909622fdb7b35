package capture

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// DryRun does all that [Save], or with elf [SaveELF], does, but for writing:
// memory is read, filtered and compressed, and the result tells how large the
// dump would be. It verifies nothing, and its result's Opens is false.
func DryRun(ctx context.Context, src vmcore.Source, elf bool, opt SaveOptions) (*SaveResult, error) {
	s := newSave(src, opt)
	out := new(nowhere)
	err := s.steps(ctx, func() error {
		if elf {
			return s.writeELF(ctx, out)
		}
		return s.write(ctx, out, nil)
	}, nil)
	s.res.Bytes = out.size.Load()
	return s.res, err
}

// Filter does the first step of [Save] alone: it tells which pages a dump would hold,
// having read no page but those that the kernel keeps books in. Pages of zeros are
// not told from others, and StoredPages counts what would be read.
func Filter(ctx context.Context, src vmcore.Source, opt SaveOptions) (*SaveResult, error) {
	s := newSave(src, opt)
	err := s.steps(ctx, func() error {
		s.res.StoredPages = s.sel.Keep.Len()
		return nil
	}, nil)
	return s.res, err
}

// nowhere is an output that forgets.
type nowhere struct{ size atomic.Int64 }

func (n *nowhere) WriteAt(p []byte, off int64) (int, error) {
	for end := off + int64(len(p)); ; {
		old := n.size.Load()
		if end <= old || n.size.CompareAndSwap(old, end) {
			return len(p), nil
		}
	}
}

func (n *nowhere) ReadAt([]byte, int64) (int, error) {
	return 0, fmt.Errorf("nothing was written: %w", errors.ErrUnsupported)
}

func (n *nowhere) Truncate(int64) error           { return nil }
func (n *nowhere) Allocate(off, size int64) error { return nil }
func (n *nowhere) WriteOnly()                     {}
