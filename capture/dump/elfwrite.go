package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// elfWriter is one WriteELF.
type elfWriter struct {
	out   Output
	r     vmcore.Reader
	opt   ELFOptions
	size  uint64 // of a page
	notes []byte

	stored *pfnset.Set // what has its place in the file
	left   *pfnset.Set // what of it is not there yet
	first  *pfnset.Set // what readers need most; may be nil
	segs   []segment   // by physical address
	room   uint64      // program headers that there is room for
	noteAt uint64      // where the notes start
	data   uint64      // where pages start
	end    uint64      // of the file

	stopped   error // why no more pages are stored
	mem, zero []byte
	kinds     []pageKind // of the pages in mem
	st        *Stats
	show      elfShower
}

// pageKind says what becomes of a page.
type pageKind uint8

const (
	pageOut  pageKind = iota // not stored
	pageZero                 // stored, and zeros
	pageIn
)

// findZeros takes pages of zeros, and those that cannot be read, out of what is
// stored.
func (w *elfWriter) findZeros(ctx context.Context) error {
	step := uint64(len(w.kinds))
	for pfn, ok := w.stored.Next(0); ok; pfn, ok = w.stored.Next(pfn) {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		pfn -= pfn % step
		w.fetch(pfn*w.size, min(pfn+step, w.stored.Limit())*w.size)
		for i, k := range w.kinds {
			switch p := pfn + uint64(i); {
			case k == pageIn, !w.stored.Has(p):
				continue
			case k == pageZero:
				w.st.Zero++
				fallthrough
			default:
				w.stored.Remove(p)
			}
		}
		pfn += step
		w.show.maybe(w.st, w.stored)
	}
	return nil
}

// piece stores a piece of RAM.
func (w *elfWriter) piece(ctx context.Context, l load) {
	for at := l.Start; at < l.End && w.stopped == nil; {
		if w.stopped = context.Cause(ctx); w.stopped != nil {
			return
		}
		base := at &^ (w.size - 1)
		end := min(l.End, base+uint64(len(w.mem)))
		w.fetch(base, end)
		for i := range w.segments(at, end) {
			s := &w.segs[i]
			w.put(s, base, max(at, s.pa), min(end, s.pa+s.filesz))
		}
		at = end
		w.show.maybe(w.st, w.left)
	}
}

// put writes what lies in memory from at up to end, all in the file range of s;
// mem starts at base.
func (w *elfWriter) put(s *segment, base, at, end uint64) {
	for at < end && w.stopped == nil {
		i := (at - base) / w.size
		j := i + 1
		for j < uint64(len(w.kinds)) && (w.kinds[j] == w.kinds[i] || writeOnly(w.out)) {
			j++
		}
		to := min(end, base+j*w.size)
		n := to - at
		if writeOnly(w.out) || w.kinds[i] == pageIn {
			off := int64(s.off + (at - s.pa))
			if done, err := w.out.WriteAt(w.mem[at-base:to-base], off); err != nil {
				w.stopped = fmt.Errorf("dump: write %d bytes of pages at %d: %w", n, off, err)
				n = (at+uint64(done))&^(w.size-1) - at // whole pages
				if at+uint64(done) < (at&^(w.size-1))+w.size {
					return
				}
			}
		}
		w.took(base, at, at+n)
		at = to
	}
}

// took notes that the pages from at up to end are in the file.
func (w *elfWriter) took(base, at, end uint64) {
	for pa := at &^ (w.size - 1); pa < end; pa += w.size {
		k := w.kinds[(pa-base)/w.size]
		if k == pageOut || !w.left.Has(pa/w.size) {
			continue
		}
		w.left.Remove(pa / w.size)
		if k == pageZero {
			w.st.Zero++
		} else {
			w.st.Raw++
		}
	}
}

// fetch reads the stored pages that lie in memory from base up to end. What is
// not stored reads as zeros.
func (w *elfWriter) fetch(base, end uint64) {
	n := (end - base + w.size - 1) / w.size
	w.kinds = w.kinds[:n]
	clear(w.kinds)
	first := base / w.size
	for i := uint64(0); i < n; {
		j := i + 1
		if !w.stored.Has(first + i) {
			clear(w.mem[i*w.size : j*w.size])
			i = j
			continue
		}
		for j < n && w.stored.Has(first+j) {
			j++
		}
		if w.r.ReadPhys(w.mem[i*w.size:j*w.size], base+i*w.size) == nil {
			for k := i; k < j; k++ {
				w.judge(k)
			}
		} else {
			w.fetchPages(base, i, j)
		}
		i = j
	}
}

// fetchPages reads page by page what cannot be read at once.
func (w *elfWriter) fetchPages(base, i, j uint64) {
	bad := 0
	var err error
	for ; i < j; i++ {
		pa := base + i*w.size
		page := w.mem[i*w.size : (i+1)*w.size]
		if bad < badRun {
			if err = w.r.ReadPhys(page, pa); err == nil {
				bad = 0
				w.judge(i)
				continue
			}
			if !errors.Is(err, vmcore.ErrNoPage) {
				bad++
			}
		}
		clear(page)
		w.st.Unreadable++
		if w.st.ReadError == nil {
			w.st.ReadError = err
		}
		if len(w.st.UnreadableAt) < keptErrors {
			w.st.UnreadableAt = append(w.st.UnreadableAt, pa)
		}
	}
}

// judge tells what page i of mem, which was read, is.
func (w *elfWriter) judge(i uint64) {
	w.st.BytesIn += w.size
	w.kinds[i] = pageIn
	if bytes.Equal(w.mem[i*w.size:(i+1)*w.size], w.zero) {
		w.kinds[i] = pageZero
	}
}

// elfShower calls the caller's Progress at a bounded rate.
type elfShower struct {
	f    func(Progress)
	last time.Time
	size uint64 // of a page
}

func (s *elfShower) maybe(st *Stats, left *pfnset.Set) {
	if s.f == nil {
		return
	}
	if now := time.Now(); now.Sub(s.last) >= tick {
		s.last = now
		s.now(st, left)
	}
}

func (s *elfShower) now(st *Stats, left *pfnset.Set) {
	if s.f != nil {
		s.f(Progress{Done: st.Pages - left.Len(), Total: st.Pages, BytesIn: st.BytesIn, BytesOut: st.Raw * s.size})
	}
}
