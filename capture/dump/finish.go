package dump

import (
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// finish makes what was written a dump: it drops what is missing, if anything
// is, and writes the signature when all else is on the disk.
func (e *engine) finish(h *kdumpfmt.Header, first *pfnset.Set, st *Stats) error {
	e.account(st)
	c := &compactor{e: e, h: h, first: first, end: e.next.Load()}
	if w, ok := e.out.(interface{ Whole() int64 }); ok {
		c.end = min(c.end, w.Whole())
	}
	for i := range c.found {
		c.found[i].take(&e.tally[i])
	}
	if (st.Cause != nil || st.Unreadable > 0) && !writeOnly(e.out) {
		e.written = nil // descriptors move
		if err := c.compact(); err != nil {
			return errors.Join(err, st.Cause)
		}
	}
	for {
		c.report(st)
		if st.Stored == 0 {
			return fmt.Errorf("dump: %w: %w", ErrNothing, nonNil(st.Cause, st.ReadError, errors.New("none was selected")))
		}
		if st.Partial && h.Split != 0 {
			return fmt.Errorf("dump: a file of a set cannot go without %d of its pages: %w", st.LeftOut, st.Cause)
		}
		err := e.seal(h, c.end, st)
		if err == nil {
			if st.Written = e.written; st.Written != nil && st.Zero > 0 {
				st.Written.wrote(make([]byte, h.BlockSize), e.l.Zero)
			}
			return nil
		}
		e.written = nil
		// A file system that writes to a new place each time can be full even
		// for a block that is there. Pages make room, the last ones first.
		st.Cause = nonNil(st.Cause, err)
		if _, lost := err.(*syncError); lost && c.mayMend(err) && c.salvage() || !lost && isFull(err) && c.cut() {
			if err = c.compact(); err == nil {
				continue
			}
		}
		return errors.Join(err, st.Cause)
	}
}

// account puts into st what the workers counted.
func (e *engine) account(st *Stats) {
	st.Unreadable = e.errors.count.Load()
	st.UnreadableAt, st.ReadError = e.errors.at, e.errors.first
	st.BytesIn, st.Shared = e.bytesIn.Load(), e.shared.Load()
}

// seal ends the file after the last page, syncs it, writes the whole header and
// syncs that.
//
// A dump that was cut short is marked incomplete in the header's status, though
// not one descriptor is missing: crash then warns its user, and the other
// readers do not look at the flag.
func (e *engine) seal(h *kdumpfmt.Header, end int64, st *Stats) error {
	if err := e.out.Truncate(end); err != nil {
		return fmt.Errorf("dump: cut the file after the last page: %w", err)
	}
	st.Bytes = end
	h.Status = e.codec.Flag()
	size := kdumpfmt.HeaderSize
	if st.Partial {
		h.Status |= kdumpfmt.FlagIncomplete
	}
	if writeOnly(e.out) {
		if !st.Partial && st.Unreadable == 0 {
			return flush(e.out) // the header is right as it is
		}
		h.Status |= kdumpfmt.FlagIncomplete
		size = int(h.BlockSize) // the whole first record again
	}
	lost := flush(e.out)
	if lost != nil { // some page may be gone; crash shall warn who opens the rest
		h.Status |= kdumpfmt.FlagIncomplete
	}
	if _, err := e.out.WriteAt(h.Marshal()[:size], 0); err != nil && lost == nil {
		return fmt.Errorf("dump: write header: %w", err)
	}
	if lost == nil {
		lost = flush(e.out)
	}
	if lost != nil {
		return &syncError{lost}
	}
	return nil
}

// syncError keeps a full disk that shows in sync from being taken for one that
// pages can make room on: what is lost then must be found out first.
type syncError struct{ err error }

func (e *syncError) Error() string { return e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

func nonNil(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// total is what is in the file of one wave.
type total struct {
	counts
	size uint64
}

func (t *total) take(from *tally) {
	*t = total{counts{zero: from.zero.Load(), raw: from.raw.Load(), packed: from.packed.Load()}, from.size.Load()}
}

func (t *total) add(d kdumpfmt.Desc, zero int64) {
	switch {
	case d.Offset == zero:
		t.zero++
		return
	case d.Flags == 0:
		t.raw++
	default:
		t.packed++
	}
	t.size += uint64(d.Size)
}

func (t *total) stored() uint64 { return t.zero + t.raw + t.packed }

// report puts into st what the file holds.
func (c *compactor) report(st *Stats) {
	f, r := &c.found[0], &c.found[1]
	st.First = Wave{Pages: c.e.tally[0].pages, Stored: f.stored(), Bytes: f.size}
	st.Rest = Wave{Pages: c.e.tally[1].pages, Stored: r.stored(), Bytes: r.size}
	st.Zero, st.Raw, st.Compressed = f.zero+r.zero, f.raw+r.raw, f.packed+r.packed
	st.Stored = st.First.Stored + st.Rest.Stored
	st.LeftOut = st.Pages - st.Stored - min(st.Unreadable, st.Pages-st.Stored)
	st.Partial = st.LeftOut > 0
}
