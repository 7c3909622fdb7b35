package dump

import (
	"fmt"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// streamMeta writes headers, notes, bitmaps and the shared zero page to a stream.
// Every byte is in exactly one record, since crash, which reads a flattened file
// in place, takes what is in no record for lost, and the first of two records for
// the one that counts. So the header has its signature at once, and is written
// again, in a record of the same extent, only when the dump turns out to lack
// pages; a stream that breaks off lacks its end mark.
func streamMeta(out Output, h *kdumpfmt.Header, l Layout, notes []byte, ram, keep *pfnset.Set) error {
	head := append(h.Marshal(), notes...)
	head = append(head, make([]byte, l.Bitmap1-int64(len(head)))...)
	if _, err := out.WriteAt(head[:l.BlockSize], 0); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if _, err := out.WriteAt(head[l.BlockSize:], l.BlockSize); err != nil {
		return fmt.Errorf("sub header: %w", err)
	}
	if err := streamBitmap(out, ram, l.Bitmap1, l.Bitmap2); err != nil {
		return fmt.Errorf("bitmap of RAM: %w", err)
	}
	if err := streamBitmap(out, keep, l.Bitmap2, l.Desc); err != nil {
		return fmt.Errorf("bitmap of pages: %w", err)
	}
	if err := writeZeros(out, l.Desc+int64(l.Pages)*kdumpfmt.DescSize, l.Data); err != nil {
		return fmt.Errorf("zero page: %w", err)
	}
	return nil
}

// streamBitmap writes set as the bytes from off up to end.
func streamBitmap(out Output, set *pfnset.Set, off, end int64) error {
	buf := make([]byte, min(chunk, end-off))
	for pos := off; pos < end; pos += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), end-pos)]
		set.Bytes(p, uint64(pos-off)*8)
		if _, err := out.WriteAt(p, pos); err != nil {
			return err
		}
	}
	return nil
}
