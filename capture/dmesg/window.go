package dmesg

import "errors"

var errOutside = errors.New("outside the ring")

// smallPage is the smallest page of any kernel, and so the grain of what is
// readable.
const smallPage = 4096

// window reads an array in kernel memory piece by piece through one buffer, as
// the records of a log are small and mostly follow each other.
type window struct {
	mem    memory
	lo, hi uint64 // the array; hi is out
	buf    []byte
	at     uint64 // address of buf[0]
	n      int    // valid bytes of buf
	bad    uint64 // a page that cannot be read; the array never has address 0
	err    error  // why
}

func newWindow(mem memory, lo, size uint64, piece int) *window {
	return &window{mem: mem, lo: lo, hi: lo + size, buf: make([]byte, min(uint64(piece), size))}
}

// bytes gives n bytes at va, good until the next call; n is at most the size
// of the window.
func (w *window) bytes(va uint64, n int) ([]byte, error) {
	if va < w.lo || va > w.hi || uint64(n) > w.hi-va || n > len(w.buf) {
		return nil, errOutside
	}
	if va >= w.at && va-w.at <= uint64(w.n) && n <= w.n-int(va-w.at) {
		return w.buf[va-w.at:][:n], nil
	}
	if w.err != nil && va&^(smallPage-1) == w.bad {
		return nil, w.err
	}
	w.n, w.at = 0, va
	// As much as fits; if some of it is missing, to the end of the page that is
	// wanted, so that a hole costs two attempts for each page, not for each record.
	upTo := min(w.hi-va, uint64(len(w.buf)))
	if w.mem.ReadVirt(w.buf[:upTo], va) == nil {
		w.n = int(upTo)
		return w.buf[:n], nil
	}
	last := (va + uint64(n) + smallPage - 1) &^ (smallPage - 1)
	upTo = min(last-va, upTo)
	if err := w.mem.ReadVirt(w.buf[:upTo], va); err != nil {
		if page := va &^ (smallPage - 1); va+uint64(n) <= page+smallPage {
			w.bad, w.err = page, err
		}
		return nil, err
	}
	w.n = int(upTo)
	return w.buf[:n], nil
}
