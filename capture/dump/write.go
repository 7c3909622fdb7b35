package dump

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/gokdump/gokdump/capture/filter"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// Write writes a dump of the selected pages of src to out, which it empties
// first. Of sel, RAM becomes bitmap 1, and Keep is stored, what of it is in First
// before the rest. What a core that was filtered already does not hold is taken
// out of Keep; sel itself is not changed, and must not change meanwhile.
//
// When the disk is full, out fails, or ctx ends, the dump is finished with the
// pages that it has got: bitmap 2 and the descriptors are rewritten to what is
// really there, and every reader takes the file for a more strongly filtered
// dump. Stats.Partial is then true, Stats.Cause says why, and the error is nil.
// The header's status has the flag "incomplete" in that case, so that crash
// warns whoever opens it. Pages that the core does not give are left out in the
// same way and counted, but are no reason to call the dump partial.
//
// To a [OnceOutput] everything is written once, in an order that it can take, with
// the same outcome; Stats.Once is then true.
//
// A stream ([Flat]) cannot be rewritten: there, what is missing has an empty
// descriptor, and the header's status says so.
//
// An error means that out is no dump: nothing could be stored ([ErrNothing]),
// the disk cannot even take the descriptors ([NoRoomError]), or it failed while
// the dump was being finished. Stats is then nil or tells how far it came.
func Write(ctx context.Context, out Output, src vmcore.Source, sel *filter.Result, meta Meta, opt Options) (*Stats, error) {
	start := time.Now()
	h, notes, err := newHeader(src)
	if err != nil {
		return nil, err
	}
	describe(h, meta, src.Machine(), opt.Codec)
	keep, first := inCore(src, sel)
	all := keep
	if opt.Split != nil {
		if keep, first, err = split(h, opt.Split, keep, first); err != nil {
			return nil, err
		}
	}
	l, err := layOut(h, keep)
	if err != nil {
		return nil, err
	}
	e := &engine{out: out, src: src, codec: opt.Codec, keep: keep, rank: pfnset.NewIndex(keep), l: l, twins: newTwins(l.Pages)}
	e.next.Store(l.Data)
	takesOnce, err := begin(out, l)
	if err != nil {
		return nil, err
	}
	if !writeOnly(out) && !takesOnce {
		e.written = newWritten(out, h, sel.RAM, all)
	}
	workers, err := newWorkers(e, opt.Workers)
	if err != nil {
		return nil, err
	}
	defer closeAll(workers)
	if takesOnce {
		if opt.Split != nil {
			return nil, errors.New("dump: a set of files cannot go where each byte is written once")
		}
		return e.writeOnce(ctx, h, notes, first, sel, workers, opt.Progress, start)
	}
	if err := makeRoom(out, l); err != nil {
		return nil, err
	}

	st := &Stats{Pages: l.Pages, Workers: len(workers)}
	waves := e.plan(keep, first, pages(src.KernelImage(), src.PageSize(), l.MaxPFN))
	if err := writeMeta(out, h, l, notes, sel.RAM, all); err != nil {
		return nil, noRoom(out, l, err)
	}
	// From here on a full disk is no reason to give up.
	if cause := e.run(ctx, waves, workers, opt.Progress); e.done.Load() < l.Pages {
		st.Cause = cause
	}
	err = e.finish(h, first, st)
	st.Elapsed = time.Since(start)
	return st, err
}

// writeOnce is what Write does with a [OnceOutput].
func (e *engine) writeOnce(ctx context.Context, h *kdumpfmt.Header, notes []byte, first *pfnset.Set, sel *filter.Result, workers []*worker, progress func(Progress), start time.Time) (*Stats, error) {
	st := &Stats{Pages: e.l.Pages, Workers: len(workers)}
	waves := e.plan(e.keep, first, pages(e.src.KernelImage(), e.src.PageSize(), e.l.MaxPFN))
	e.once = newOnce(e, first)
	if cause := e.once.run(ctx, waves, workers, progress); e.done.Load() < e.l.Pages {
		st.Cause = cause
	}
	err := e.once.finish(h, notes, sel.RAM, st)
	st.Elapsed = time.Since(start)
	return st, err
}

// inCore takes out of the selection what a filtered core does not hold.
func inCore(src vmcore.Source, sel *filter.Result) (keep, first *pfnset.Set) {
	keep, first = sel.Keep, sel.First
	if s, ok := src.(interface{ Stored() *pfnset.Set }); ok && !keep.In(s.Stored()) {
		keep = keep.Both(s.Stored())
	}
	if first != nil && !first.In(keep) {
		first = first.Both(keep)
	}
	return keep, first
}

func newWorkers(e *engine, n int) ([]*worker, error) {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	// More than there are blocks would idle; and a huge number is a mistake.
	n = int(min(uint64(n), 1024, e.l.Pages/blockPages+1))
	var all []*worker
	for range n {
		w, err := newWorker(e)
		if err != nil {
			if len(all) > 0 { // too little memory for all of them: fewer will do
				break
			}
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

func closeAll(workers []*worker) {
	for _, w := range workers {
		w.close()
	}
}
