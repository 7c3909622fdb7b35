package crypt

import "fmt"

// Once is asked by the writer of a dump whether each byte can be written only once,
// page data from head on in its order, and what lies before that in the end; the
// dump will have most bytes at the most. It is so where it is so for the file below.
func (f *File) Once(head, most int64) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.out.(interface {
		Once(head, most int64) (bool, error)
	})
	if !ok || len(f.text) == 0 {
		return false, nil
	}
	// The chunk that holds the end of the head is whole when the head is.
	first := (head + chunkSize - 1) / chunkSize
	ok, err := o.Once(f.slot(first), f.slot((most+chunkSize-1)/chunkSize))
	if ok && err == nil {
		f.once, f.data = true, first
	}
	return ok, err
}

// begin writes the header before anything else.
func (f *File) begin() error {
	if len(f.text) == 0 {
		return nil
	}
	if _, err := f.out.WriteAt(f.text, 0); err != nil {
		return fmt.Errorf("encrypt: write the header: %w", err)
	}
	f.text = nil
	return nil
}

// complete takes a chunk of which all was written, for a file that takes each byte
// once. The one behind all others may turn out to be the last, and waits.
func (f *File) complete(c *chunk) error {
	if f.ready != nil && c.index > f.ready.index || f.ready == nil {
		c, f.ready = f.ready, c
	}
	if c == nil {
		return nil
	}
	return f.sealOpen(c)
}

// order gives the numbers of all chunks up to last, those of the head behind the
// others where the file below wants that.
func (f *File) order(last int64) func(yield func(int64) bool) {
	from := min(f.data, last+1)
	return func(yield func(int64) bool) {
		for i := from; i <= last; i++ {
			if !yield(i) {
				return
			}
		}
		for i := range from {
			if !yield(i) {
				return
			}
		}
	}
}
