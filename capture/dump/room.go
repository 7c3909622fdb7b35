package dump

import (
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// chunk is how much of a bitmap or of the descriptors is handled at once.
const chunk = 256 << 10

// makeRoom gives everything before the page data its room on the disk, reading
// as zeros: rewriting it later must not need what a full disk has not got.
func makeRoom(out Output, l Layout) error {
	err := out.Truncate(0)
	if err != nil {
		return fmt.Errorf("dump: empty the file: %w", err)
	}
	if a, ok := out.(interface{ Allocate(off, n int64) error }); ok {
		err = a.Allocate(0, l.Data)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return noRoom(out, l, err)
		}
	}
	zeros := make([]byte, min(chunk, l.Data))
	for off := int64(0); off < l.Data; off += int64(len(zeros)) {
		if _, err := out.WriteAt(zeros[:min(int64(len(zeros)), l.Data-off)], off); err != nil {
			return noRoom(out, l, err)
		}
	}
	return nil
}

func noRoom(out Output, l Layout, err error) error {
	if !isFull(err) {
		return fmt.Errorf("dump: write %d bytes of headers, bitmaps and descriptors: %w", l.Data, err)
	}
	e := &NoRoomError{Need: l.Data, Free: -1, Err: err}
	// What was taken in vain is free again for who comes next, and for the count.
	if out.Truncate(0) == nil {
		if f, ok := out.(interface{ Free() (uint64, error) }); ok {
			if n, ferr := f.Free(); ferr == nil {
				e.Free = int64(min(n, 1<<62))
			}
		}
	}
	return e
}

// writeMeta writes the headers, without the signature, the notes and both
// bitmaps.
func writeMeta(out Output, h *kdumpfmt.Header, l Layout, notes []byte, ram, keep *pfnset.Set) error {
	if writeOnly(out) {
		return streamMeta(out, h, l, notes, ram, keep)
	}
	head := h.Marshal()
	clear(head[:len(kdumpfmt.Signature)])
	if _, err := out.WriteAt(append(head, notes...), 0); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if err := writeBitmap(out, ram, h.Bitmap1Offset(), h.BitmapSize()); err != nil {
		return fmt.Errorf("bitmap of RAM: %w", err)
	}
	if err := writeBitmap(out, keep, h.Bitmap2Offset(), h.BitmapSize()); err != nil {
		return fmt.Errorf("bitmap of pages: %w", err)
	}
	return nil
}

// writeBitmap writes set as size bytes at off. Parts without a member are left
// as they are, which is zeros: a machine may have holes of many TiB.
func writeBitmap(out Output, set *pfnset.Set, off, size int64) error {
	buf := make([]byte, min(chunk, size))
	for pfn, ok := set.Next(0); ok && int64(pfn/8) < size; pfn, ok = set.Next(pfn) {
		at := int64(pfn/64) * 8
		p := buf[:min(int64(len(buf)), size-at)]
		set.Bytes(p, uint64(at)*8)
		if _, err := out.WriteAt(p, off+at); err != nil {
			return err
		}
		pfn = uint64(at+int64(len(p))) * 8
	}
	return nil
}

// flush brings what was written to the disk, where the output can.
func flush(out Output) error {
	if s, ok := out.(interface{ Sync() error }); ok {
		if err := s.Sync(); err != nil {
			return fmt.Errorf("dump: sync: %w", err)
		}
	}
	return nil
}
