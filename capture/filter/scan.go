package filter

import (
	"context"
	"fmt"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// scan is one run of Scan.
type scan struct {
	src      vmcore.Source
	info     *kernel.Info
	opt      Options
	res      *Result
	pageSize uint64

	space  *kernel.Space
	layout *kernel.PageLayout
	memmap *kernel.MemMap

	pinned     *pfnset.Set // never dropped
	image      *pfnset.Set // the part of pinned that is the kernel image
	first      *pfnset.Set // to go first, beside pinned
	slab       *pfnset.Set // nil when it is too much to go first
	slabPages  uint64
	shared     *pfnset.Set // pages of struct pages that are mapped more than once
	doubled    *pfnset.Set // of these, where large pages do so: not even a hugetlb page has a reason
	shares     bool        // whether there are any
	ramPages   uint64
	pinHits    uint64 // pinned pages, not of the image, that looked droppable
	pinOffline uint64 // of these, as out of use
	total      tally
	doubt      kernel.Doubt
	open       run // of a compound page that reaches beyond the section taken last
	done       uint64
	told       uint64
	garbage    int
	unreadBy   error
}

func (s *scan) warn(format string, a ...any) {
	s.res.Warnings = append(s.res.Warnings, fmt.Sprintf(format, a...))
}

// run does the steps; what fails keeps the pages that depend on it.
func (s *scan) run(ctx context.Context, r vmcore.Reader) error {
	limit := s.res.RAM.Limit()
	s.pinned, s.image, s.first, s.slab = pfnset.New(limit), pfnset.New(limit), pfnset.New(limit), pfnset.New(limit)
	s.shared, s.doubled = pfnset.New(limit), pfnset.New(limit)
	s.ramPages = s.res.RAM.Len() // all of them are counted for it, so not for each section
	for _, k := range s.src.KernelImage() {
		s.addImage(k.Start, k.End)
	}
	known, err := s.understand(ctx, r)
	if err != nil {
		return err
	}
	switch {
	case !known:
	case s.judges():
		err = s.decideAll(ctx, r)
	default:
		err = s.lookForFirst(ctx, r)
	}
	if err != nil {
		return err
	}
	s.finishFirst()
	if s.opt.Progress != nil {
		s.opt.Progress(s.ramPages, s.ramPages)
	}
	return nil
}

// lookForFirst reads the struct pages only to know what must go first: a dump of
// all memory is the one that a full disk cuts short. Nothing is dropped by it, and
// what it does not understand costs nobody anything.
func (s *scan) lookForFirst(ctx context.Context, r vmcore.Reader) error {
	warnings := s.res.Warnings
	if err := s.sections(ctx, r); err != nil {
		return err
	}
	s.res.Keep, s.res.Warnings = s.res.RAM.Clone(), warnings
	if n := s.res.Counts[Offline]; n > 0 && s.layout.MissesPoison() {
		s.warn("%d or more pages that a balloon or a hypervisor driver took out of use are kept: at this level they go only where PG_hwpoison is exported", n)
	}
	if n := s.total.poisonHint; n > 0 {
		s.warn("%d pages have the flag that is PG_hwpoison by the other flags: if it tells of memory errors, they are kept", n)
	}
	clear(s.res.Counts)
	return nil
}

// judges tells whether there is anything to drop.
func (s *scan) judges() bool {
	_, poison := s.number("PG_hwpoison")
	return s.opt.Level > LevelZero || poison
}

// decideAll scans all sections, and once more without what the first scan speaks
// against.
func (s *scan) decideAll(ctx context.Context, r vmcore.Reader) error {
	for {
		if err := s.sections(ctx, r); err != nil {
			return err
		}
		d := s.doubts() &^ s.doubt
		if d == 0 {
			s.judge()
			return nil
		}
		s.doubt |= d
		s.layout = s.layout.Without(d)
		s.res.Keep = s.res.RAM.Clone()
		clear(s.res.Counts)
		s.total, s.garbage, s.pinHits, s.pinOffline, s.done, s.open = tally{}, 0, 0, 0, 0, run{}
	}
}

func (s *scan) addImage(start, end uint64) {
	if end > start {
		s.image.AddRange(start/s.pageSize, (end-1)/s.pageSize+1)
		s.pinned.AddRange(start/s.pageSize, (end-1)/s.pageSize+1)
	}
}

func (s *scan) number(name string) (int64, bool) {
	if s.info == nil {
		return 0, false
	}
	return s.info.Number(name)
}

// understand prepares what the decision needs; false when all must be kept.
func (s *scan) understand(ctx context.Context, r vmcore.Reader) (bool, error) {
	const kept = "all pages are kept"
	if s.info == nil {
		s.warn("the core has no usable VMCOREINFO: %s", kept)
		return false, nil
	}
	if s.info.PageSize != s.pageSize {
		s.warn("VMCOREINFO has pages of %d bytes, the core of %d: %s", s.info.PageSize, s.pageSize, kept)
		return false, nil
	}
	var err error
	if s.space, err = kernel.NewSpace(s.info, s.src.Machine(), r); err != nil {
		s.warn("%v: %s", err, kept)
		return false, nil
	}
	for _, m := range s.space.Mended {
		s.warn("%s", m)
	}
	if err := s.walkTables(ctx); err != nil {
		return false, err
	}
	if s.memmap, err = kernel.NewMemMap(s.info, s.space, s.src.RAM()); err != nil {
		s.warn("%v: %s", err, kept)
		return false, nil
	}
	if s.layout, err = kernel.NewPageLayout(s.info); err != nil {
		s.warn("%v: %s", err, kept)
		return false, nil
	}
	if s.judges() {
		for _, u := range s.layout.Unknown {
			s.warn("%s", u)
		}
	}
	if n := s.memmap.Bad + s.memmap.Absent; n > 0 && s.judges() {
		s.warn("%d of %d memory sections with RAM have no usable struct pages %s: their pages are kept",
			n, n+len(s.memmap.Sections), brackets(s.memmap.FirstBad))
	}
	if err := s.pinMaps(ctx); err != nil {
		return false, err
	}
	if s.judges() {
		if err := s.prove(ctx); err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			s.warn("%v: %s", err, kept)
			return false, nil
		}
	}
	return true, nil
}

func brackets(s string) string {
	if s == "" {
		return "(absent)"
	}
	return "(" + s + ")"
}
