package filter

// freed collects those pages of the image that the kernel gave to its allocator
// when it had booted: init code, and the gaps between its sections. They are a
// few MiB that have held anything since, users' memory too. The image's own pages
// have PG_reserved.
type freed struct {
	runs             []run
	reserved, others uint64
}

// add looks at the struct page p, at va, of a page of the image.
func (f *freed) add(s *scan, pfn, va uint64, p []byte) {
	if s.layout.IsReserved(p) {
		f.reserved++
		return
	}
	f.others++
	if !s.layout.IsUninit(p) && s.layout.Plausible(p, va) {
		f.runs = appendRun(f.runs, pfn, pfn+1, Kept)
	}
}

// unpin lets the pages go, so that they are judged like all others; when most of
// the image says the same, it says nothing. They still go first, as far as they
// are kept: page tables and stacks may be among them.
func (f *freed) unpin(s *scan) {
	if f.others >= f.reserved {
		return
	}
	for _, r := range f.runs {
		s.image.RemoveRange(r.start, r.end)
		s.pinned.RemoveRange(r.start, r.end)
		s.first.AddRange(r.start, r.end)
	}
}
