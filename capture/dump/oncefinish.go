package dump

import (
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// begin asks whether out takes each byte once, and tells it what will come.
func begin(out Output, l Layout) (bool, error) {
	o, ok := out.(OnceOutput)
	if !ok {
		return false, nil
	}
	ok, err := o.Once(l.Data, l.Data+int64(l.Pages)*l.BlockSize)
	if err != nil {
		return false, fmt.Errorf("dump: begin the file: %w", err)
	}
	return ok, nil
}

// finish writes what is left: descriptors, bitmaps and headers, all as things have
// turned out.
func (o *once) finish(h *kdumpfmt.Header, notes []byte, ram *pfnset.Set, st *Stats) error {
	e := o.e
	e.account(st)
	stored, err := o.last(st.Cause != nil)
	if err != nil {
		return errors.Join(err, st.Cause)
	}
	c := &compactor{e: e, found: o.found}
	for i := range c.found {
		c.found[i].size = e.tally[i].size.Load()
	}
	c.report(st)
	st.Once = true
	if st.Stored == 0 {
		return fmt.Errorf("dump: %w: %w", ErrNothing, nonNil(st.Cause, st.ReadError, errors.New("none was selected")))
	}
	st.Bytes = max(e.next.Load(), e.l.Data)
	h.Status = e.codec.Flag()
	if st.Partial {
		h.Status |= kdumpfmt.FlagIncomplete
	}
	if err := o.head(h, notes, ram, stored); err != nil {
		return errors.Join(fmt.Errorf("dump: %w", err), st.Cause)
	}
	return flush(e.out)
}

// last writes the descriptors that still wait, and tells which pages are stored. cut
// says that the page data ended early.
func (o *once) last(cut bool) (*pfnset.Set, error) {
	stored := o.e.keep
	from := o.upTo
	if cut {
		stored = stored.Clone()
		stored.RemoveRange(from, stored.Limit())
		for _, h := range o.held {
			again := &wave{in: h.wave.in, without: h.wave.without}
			for pfn := range again.first(h.count) {
				if pfn >= from {
					stored.Add(pfn)
				}
			}
		}
	}
	if err := o.emitHeld(o.e.l.MaxPFN); err != nil {
		return nil, err
	}
	if err := o.flush(); err != nil {
		return nil, err
	}
	if o.gone.Len() > 0 {
		stored = stored.Clone()
		for pfn, ok := o.gone.Next(0); ok; pfn, ok = o.gone.Next(pfn + 1) {
			stored.Remove(pfn)
		}
	}
	return stored, nil
}

// head writes all that is before the page data, but for the descriptors: the start
// of the file at the very end.
func (o *once) head(h *kdumpfmt.Header, notes []byte, ram, stored *pfnset.Set) error {
	l := o.e.l
	if err := fillZeros(o.e.out, l.Desc+int64(o.slot)*kdumpfmt.DescSize, l.Data); err != nil {
		return fmt.Errorf("zero page: %w", err)
	}
	if err := streamBitmap(o.e.out, ram, l.Bitmap1, l.Bitmap2); err != nil {
		return fmt.Errorf("bitmap of RAM: %w", err)
	}
	if err := streamBitmap(o.e.out, stored, l.Bitmap2, l.Desc); err != nil {
		return fmt.Errorf("bitmap of pages: %w", err)
	}
	if err := flush(o.e.out); err != nil {
		return err
	}
	head := append(h.Marshal(), notes...)
	head = append(head, make([]byte, l.Bitmap1-int64(len(head)))...)
	if _, err := o.e.out.WriteAt(head, 0); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	return nil
}
