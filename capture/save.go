package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// SaveOutput is the file that [Save] writes; a target.File is one. One that also
// has the method Doubtful() bool, and says true after writing, is read back whole:
// what it confirmed while it was written may be lost.
type SaveOutput interface {
	io.WriterAt
	io.ReaderAt
	Truncate(size int64) error
	Sync() error
	Size() int64
}

// SaveOptions says what [Save] keeps, and how.
type SaveOptions struct {
	// Level is the dump level, 0 to 31, as makedumpfile(8) has it.
	Level int
	// Codec compresses the pages.
	Codec codec.ID
	// Workers is the number of goroutines that read and compress; 0 means one
	// for each CPU that the process may use, and more than that are never taken:
	// they would wait for each other.
	Workers int
	// VerifyAll decodes each page after writing, not only a sample. The structure
	// of the dump is looked at as a whole in any case.
	VerifyAll bool
	// VerifyMust reads from the disk, not from the page cache, and each page that
	// readers cannot do without: for a crash kernel, whose memory is not there to
	// be dumped again. Without, the page cache may answer, and of a dump that was
	// cut short only a sample of these pages is read.
	VerifyMust bool
	// Event, if not nil, hears of steps and progress, from one goroutine at a
	// time. The steps are "filter", "write" and "verify".
	Event func(Event)
}

// SaveResult is what [Save] did. Counts are pages, sizes bytes.
type SaveResult struct {
	// Pages counts the pages by class, as capture/filter names them, and with
	// "zero" those that are all zeros.
	Pages map[string]uint64
	// RAMPages is all RAM; StoredPages is what the dump holds, LeftOutPages
	// what should be in it and is not, for want of room or time;
	// UnreadablePages could not be read from the core.
	RAMPages, StoredPages, LeftOutPages, UnreadablePages uint64
	PageSize                                             uint64
	CPUs                                                 int // with registers in the dump
	Workers                                              int // that were used
	Bytes                                                int64
	BytesIn                                              uint64
	// Opens: the kernel's name was read back from the dump through its page
	// tables, the least that a reader needs. EssentialMissing counts the pages of
	// the kernel itself (image, tables, memory map, stacks, slab) that it lacks.
	Opens            bool
	EssentialMissing uint64
	// Partial: the dump is sound, but lacks LeftOutPages, or there was no time to
	// read it back; Cause says why.
	Partial bool
	Cause   error
	// VerifiedPages were read back after writing, and decoded or compared with
	// what was written.
	VerifiedPages uint64
	// Steps are the times taken.
	Steps    []Step
	Warnings []string
}

// Save filters the core src and writes what is kept to out as a
// kdump-compressed file, syncs it and checks what was written. It neither
// creates nor renames files. When ctx ends early or the disk is full, the dump
// is made a valid one of fewer pages: the result is Partial and the error nil.
// An error means that out holds nothing of use; the result, never nil, then
// tells how far it came.
func Save(ctx context.Context, src vmcore.Source, out SaveOutput, opt SaveOptions) (*SaveResult, error) {
	s := newSave(src, opt)
	s.out = out
	err := s.steps(ctx, func() error { return s.write(ctx, out, nil) }, func() error { return s.verify(ctx) })
	return s.res, err
}

func newSave(src vmcore.Source, opt SaveOptions) *save {
	if cpus := runtime.GOMAXPROCS(0); opt.Workers <= 0 || opt.Workers > cpus {
		opt.Workers = cpus
	}
	s := &save{src: src, opt: opt, res: &SaveResult{Pages: map[string]uint64{}, PageSize: src.PageSize()}}
	s.describe()
	return s
}

// steps does what all formats have in common. verify may be nil.
func (s *save) steps(ctx context.Context, write, verify func() error) error {
	err := s.step("filter", func() error { return s.filter(ctx) })
	if err == nil {
		err = s.step("write", write)
	}
	if err == nil && verify != nil {
		err = s.step("verify", verify)
	}
	return err
}

// save is one Save under way.
type save struct {
	src  vmcore.Source
	out  SaveOutput
	opt  SaveOptions
	res  *SaveResult
	info *kernel.Info // nil when the core does not describe its kernel
	// named: the kernel's name could be read from the core's memory.
	named bool
	meta  dump.Meta
	sel   *filter.Result
	pages uint64        // that were to be written
	proof *dump.Written // of what was written last; may be nil
	once  bool          // the output cannot be read back

	mu    sync.Mutex // for Event
	name  string     // of the step
	start time.Time
}

func (s *save) step(name string, do func() error) error {
	s.name, s.start = name, time.Now()
	err := do()
	step := Step{Name: name, Seconds: time.Since(s.start).Seconds()}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
		step.Error = err.Error()
	}
	s.res.Steps = append(s.res.Steps, step)
	return err
}

func (s *save) progress(p Progress) {
	if s.opt.Event == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Elapsed = time.Since(s.start)
	s.opt.Event(Event{Step: s.name, Progress: &p})
}

func (s *save) warn(format string, a ...any) {
	s.res.Warnings = append(s.res.Warnings, fmt.Sprintf(format, a...))
}

// describe gathers what the new header says about the kernel. Nothing of it is
// worth losing the dump for.
func (s *save) describe() {
	s.meta = dump.Meta{Level: s.opt.Level}
	if old, ok := s.src.(interface{ Header() *vmcore.KdumpHeader }); ok {
		h := old.Header()
		s.meta.Uname, s.meta.CrashTime, s.meta.PhysBase = h.Uname, h.CrashTime, h.PhysBase
		s.meta.Level |= int(h.DumpLevel) & 31
	}
	for n := range vmcore.EachNote(s.src.Notes()) {
		if n.Name == "CORE" && n.Type == vmcore.NotePRStatus {
			s.res.CPUs++
		}
	}
	s.meta.CPUs = s.res.CPUs
	info, err := kernel.ParseInfo(s.src.VMCoreInfo())
	if err != nil {
		s.warn("the core does not describe its kernel, so nothing is filtered: %v", err)
		return
	}
	s.info = info
	if info.CrashTime != 0 {
		s.meta.CrashTime = info.CrashTime
	}
	if base, ok := info.Number("phys_base"); ok {
		s.meta.PhysBase = base
	}
	if err := s.ask(info); err != nil && s.meta.Uname.Release == "" {
		s.meta.Uname.Release = info.Release
		s.warn("the kernel's own name: %v", err)
	}
}

// ask takes from the kernel's memory what VMCOREINFO may have wrong or lacks: its
// phys_base and its name. The error is that of the name.
func (s *save) ask(info *kernel.Info) error {
	u, base, err := identity(s.src, info)
	if base != nil {
		s.meta.PhysBase = *base
	}
	if err == nil {
		s.meta.Uname, s.named = u, true
	}
	return err
}

// identity reads the kernel's name from its memory. base is the phys_base that leads
// there, nil where there is none.
func identity(src vmcore.Source, info *kernel.Info) (u vmcore.Uname, base *int64, err error) {
	mem, err := src.NewReader()
	if err != nil {
		return u, nil, err
	}
	defer mem.Close()
	space, err := kernel.NewSpace(info, src.Machine(), mem)
	if err != nil {
		return u, nil, err
	}
	if b, ok := space.PhysBase(); ok {
		base = &b
	}
	u, err = kernel.ReadUname(info, space)
	return u, base, err
}

// CheckAddresses returns an error when src claims RAM at addresses so high that
// the bitmaps of a dump, and the tables of a filter, would take more room than
// all of the RAM: no machine is so sparse, but damaged headers are.
func CheckAddresses(src vmcore.Source) error {
	var ram uint64
	for _, r := range src.RAM() {
		ram += r.End - r.Start
	}
	if ram == 0 {
		return errors.New("the core has no RAM")
	}
	end := src.RAM()[len(src.RAM())-1].End
	if bitmaps := end / src.PageSize() / 4; bitmaps > ram { // two bits for each page
		return fmt.Errorf("the core claims RAM up to physical address %#x, but has only %s of it: its headers are damaged", end, Bytes(ram))
	}
	return nil
}

func (s *save) filter(ctx context.Context) error {
	if err := CheckAddresses(s.src); err != nil {
		return err
	}
	sel, err := filter.Scan(ctx, s.src, s.info, filter.Options{
		Level: s.opt.Level, Workers: s.opt.Workers,
		Progress: func(done, total uint64) { s.progress(Progress{Done: done, Total: total}) },
	})
	if err != nil {
		return err
	}
	s.sel = sel
	s.res.Warnings = append(s.res.Warnings, sel.Warnings...)
	s.res.RAMPages = sel.RAM.Len()
	for class, n := range sel.Counts {
		s.res.Pages[class.String()] = n
	}
	return nil
}

// write writes what was kept to out, or of it the pages of one file of a set.
func (s *save) write(ctx context.Context, out dump.Output, part *dump.Split) error {
	st, err := dump.Write(ctx, out, s.src, s.sel, s.meta, dump.Options{
		Codec: s.opt.Codec, Workers: s.opt.Workers, Split: part, Progress: s.written,
	})
	s.wrote(st)
	return err // dump.Write has synced out
}

// notInCore counts the pages that the filter keeps and a filtered core lacks.
const notInCore = "not in the core"

func (s *save) written(p dump.Progress) {
	s.progress(Progress{Done: p.Done, Total: p.Total, BytesIn: p.BytesIn, BytesOut: p.BytesOut})
}

// wrote adds what became of the pages, if anything, to the result.
func (s *save) wrote(st *dump.Stats) {
	if st == nil {
		return
	}
	r := s.res
	s.proof, s.once = st.Written, st.Once
	r.StoredPages += st.Stored
	r.LeftOutPages += st.LeftOut
	r.UnreadablePages += st.Unreadable
	r.Pages["zero"] += st.Zero
	s.pages += st.Pages
	r.Pages[filter.Kept.String()] = s.pages
	delete(r.Pages, notInCore)
	if gone := s.sel.Keep.Len() - s.pages; gone > 0 { // the source was filtered before
		r.Pages[notInCore] = gone
	}
	r.Workers = st.Workers
	r.Bytes += st.Bytes
	r.BytesIn += st.BytesIn
	r.Partial, r.Cause = r.Partial || st.Partial, cmp.Or(r.Cause, st.Cause)
	r.EssentialMissing += st.First.Pages - st.First.Stored
	if st.Unreadable > 0 {
		s.warn("%d pages could not be read: %v", st.Unreadable, st.ReadError)
	}
}
