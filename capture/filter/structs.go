package filter

// read fills b with the struct pages at va, one mapping after the other. Those
// that cannot be read become uninitialised ones: all bits set.
func (w *worker) read(p *part, b []byte, va uint64) {
	size := w.s.layout.Size
	bad := func(from, to uint64, err error) {
		from, to = from/size*size, min((to+size-1)/size*size, uint64(len(b)))
		for i := from; i < to; i++ {
			b[i] = 0xff
		}
		p.tally.unread += (to - from) / size
		if p.unread == nil {
			p.unread = err
		}
	}
	var spoiled []run // offsets, done last so that no later read undoes them
	var why error
	fail := func(from, to uint64, err error) {
		spoiled = appendRun(spoiled, from, to, Kept)
		why = err
	}
	page := w.s.pageSize
	w.shared, w.doubled = w.shared[:0], w.doubled[:0]
	for at := uint64(0); at < uint64(len(b)); {
		pa, n, err := w.space.Translate(va + at)
		if err != nil {
			to := min((va+at)&^(page-1)+page-va, uint64(len(b)))
			fail(at, to, err)
			at = to
			continue
		}
		n = min(n, uint64(len(b))-at)
		w.noteShared(at, pa, n)
		if err := w.mem.ReadPhys(b[at:at+n], pa); err != nil {
			for to := at; to < at+n; { // page by page: lose no more than needed
				from := to
				to = min(from+page-(pa+from-at)%page, at+n)
				if err := w.mem.ReadPhys(b[from:to], pa+from-at); err != nil {
					fail(from, to, err)
				}
			}
		}
		at += n
	}
	for _, r := range spoiled {
		bad(r.start, r.end, why)
	}
}

// noteShared notes which of the struct pages in n bytes at offset at of the
// buffer, read from pa, are found at other addresses too.
func (w *worker) noteShared(at, pa, n uint64) {
	page := w.s.pageSize
	if !w.s.shares {
		return
	}
	for from := pa; from < pa+n; {
		to := min(from&^(page-1)+page, pa+n)
		switch {
		case w.s.doubled.Has(from / page):
			w.doubled = appendRun(w.doubled, at+from-pa, at+to-pa, Kept)
		case w.s.shared.Has(from / page):
			w.shared = appendRun(w.shared, at+from-pa, at+to-pa, Kept)
		}
		from = to
	}
}

func within(runs []run, at uint64) bool {
	for _, r := range runs {
		if r.start <= at && at < r.end {
			return true
		}
	}
	return false
}
