package vmcore

import (
	"context"
	"fmt"

	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// Loss is what a kdump-compressed file lacks of what its headers promise.
type Loss struct {
	// Bitmaps: the file does not have all of its bitmaps, so that there may have
	// been pages that nobody knows of.
	Bitmaps bool
	// NoDesc is the number of pages without a descriptor, NoData of those with
	// one that have no data.
	NoDesc, NoData uint64
}

// Pages is the number of pages lost.
func (l Loss) Pages() uint64 { return l.NoDesc + l.NoData }

// LossOf counts what is lost of a file opened with [Salvage]. It reads every
// descriptor once, and no page. The error is ctx's, or that of a read.
func LossOf(ctx context.Context, k Kdump) (Loss, error) {
	h, size, count := k.Header(), k.FileSize(), k.Stored().Len()
	var cut written
	if s, ok := k.(*kdumpSource); ok {
		cut = s.cut
	}
	var l Loss
	if cut != nil {
		l.Bitmaps = !cut.Written(h.Bitmap1Offset(), h.BitmapSize()) ||
			h.TwoBitmaps() && !cut.Written(h.Bitmap2Offset(), h.BitmapSize())
	}
	have := min(count, uint64(max(size-h.DescOffset(), 0))/kdumpfmt.DescSize)
	l.NoDesc = count - have
	descs := make([]kdumpfmt.Desc, 4096)
	for first := uint64(0); first < have; {
		if err := ctx.Err(); err != nil {
			return l, err
		}
		d := descs[:min(have-first, uint64(len(descs)))]
		if err := k.Descs(d, first); err != nil {
			return l, fmt.Errorf("count lost pages: %w", err)
		}
		for _, d := range d {
			switch {
			case d.Offset == 0:
				l.NoDesc++
			case d.Check(h.BlockSize, size) != nil, cut != nil && !cut.Written(d.Offset, int64(d.Size)):
				l.NoData++
			}
		}
		first += uint64(len(d))
	}
	return l, nil
}
