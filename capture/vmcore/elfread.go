package vmcore

import "fmt"

// pageError tells of a page that the core does not hold. It is small since a
// filtered core gives it for each page that is not there.
type pageError struct {
	pa  uint64
	why string
	err error // a second error to match, or nil
}

func (e *pageError) Error() string {
	return fmt.Sprintf("physical address %#x: %v: %s", e.pa, ErrNoPage, e.why)
}

func (e *pageError) Is(target error) bool {
	return target == ErrNoPage || e.err != nil && target == e.err
}

type elfReader struct {
	src  *elfSource
	near int // index of the extent that was read last
	maps windows
}

func (s *elfSource) NewReader() (Reader, error) {
	return &elfReader{src: s}, nil
}

func (r *elfReader) ReadPhys(p []byte, pa uint64) error {
	for len(p) > 0 {
		i := findExtent(r.src.extents, pa, r.near)
		r.near = i
		var n uint64
		if i < len(r.src.extents) && r.src.extents[i].pa <= pa {
			e := &r.src.extents[i]
			n = min(uint64(len(p)), e.end-pa)
			off := e.off + int64(pa-e.pa)
			if c := r.src.cut; c != nil && !c.Written(off, int64(n)) {
				return &pageError{pa, "the flattened file ends before it", ErrTruncated}
			}
			if err := r.readFile(p[:n], off); err != nil {
				return fmt.Errorf("read %d bytes at physical address %#x, file offset %#x: %w", n, pa, off, err)
			}
		} else {
			n = min(uint64(len(p)), r.gap(i, pa))
			if n == 0 {
				return r.noPage(pa)
			}
			clear(p[:n])
		}
		p, pa = p[n:], pa+n
	}
	return nil
}

// gap is the number of bytes from pa on that are in no extent but in a page
// that an extent has a part of. i is the next extent.
func (r *elfReader) gap(i int, pa uint64) uint64 {
	if pa >= maxPhys {
		return 0
	}
	page := pa &^ (r.src.pageSize - 1)
	end := page + r.src.pageSize
	part := i > 0 && r.src.extents[i-1].end > page
	if i < len(r.src.extents) && r.src.extents[i].pa < end {
		part, end = true, r.src.extents[i].pa
	}
	if !part {
		return 0
	}
	return end - pa
}

func (r *elfReader) noPage(pa uint64) error {
	switch {
	case contains(r.src.lost, pa):
		return &pageError{pa, "the core file ends before it", ErrTruncated}
	case contains(r.src.ram, pa):
		return &pageError{pa, "left out when the core was filtered", nil}
	}
	return &pageError{pa, "not RAM", nil}
}

// readFile fills p from the file. A file that shrank since it was opened, or
// memory that the kernel cannot read, is an error.
func (r *elfReader) readFile(p []byte, off int64) error {
	if r.src.mapFD >= 0 && !r.src.noMap.Load() && r.maps.copy(r.src, p, off) {
		return nil
	}
	if n, err := r.src.file.ReadAt(p, off); n < len(p) {
		return shortRead(err)
	}
	return nil
}

func (r *elfReader) Close() error { return r.maps.close() }
