package vmcore

import (
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/vmcore/flat"
)

// written tells whether a flattened file that is not complete has all of n
// bytes at off of the file that it describes. What it lacks reads as zeros.
type written interface{ Written(off, n int64) bool }

// openFlat opens the core that a flattened file describes, in place.
func openFlat(f File, opts []Option) (Source, error) {
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("open flattened core: %w", err)
	}
	in, err := flat.Open(f, size, newOptions(opts).salvage)
	if errors.Is(err, flat.ErrTruncated) {
		err = fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open flattened core: %w", err)
	}
	var magic [magicLen]byte
	n, err := in.ReadAt(magic[:min(in.Length(), magicLen)], 0)
	if err != nil {
		return nil, fmt.Errorf("read the first bytes of the flattened core: %w", err)
	}
	opts = append(opts[:len(opts):len(opts)], func(o *options) {
		o.flat, o.real = ", flattened", in.RealSize()
		if in.Broken() != nil {
			o.cut = in
		}
	})
	var src Source
	switch format, hint := detect(magic[:n]); format {
	case "elf":
		src, err = OpenELF(in, opts...)
	case "kdump":
		var k Kdump
		if k, err = OpenKdump(in, opts...); err == nil {
			src = k
		}
	case "flat":
		err = fmt.Errorf("%w: flattened twice", ErrNotCore)
	default:
		err = fmt.Errorf("%w: flattened: %s", ErrNotCore, hint)
	}
	if err == nil {
		return src, nil
	}
	if b := in.Broken(); b != nil {
		return nil, fmt.Errorf("%w: flattened: %w (%w)", ErrTruncated, err, b)
	}
	return nil, fmt.Errorf("flattened: %w", err)
}
