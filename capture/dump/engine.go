package dump

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// A block is the unit of work: so many pages, or so many bytes if that is fewer
// pages.
const (
	blockPages = 256
	blockBytes = 1 << 20
)

// tick is how often Progress is called at most.
const tick = 200 * time.Millisecond

// engine moves the pages. There is no queue and no lock per page: a worker takes
// a block, reads and compresses it into its own buffer, reserves room in the file
// with one atomic add, and writes it; the descriptors go to their slots, which
// are known from the pages' ranks.
type engine struct {
	out   Output
	src   vmcore.Source
	codec codec.ID
	keep  *pfnset.Set
	rank  *pfnset.Index
	l     Layout

	next atomic.Int64 // where the next page data goes
	stop context.CancelCauseFunc

	done, bytesIn atomic.Uint64
	tally         [2]tally // of First, and of the rest
	twins         *twins
	written       *Written      // nil when nobody can read it back
	shared        atomic.Uint64 // pages that have the bytes of others
	once          *once         // how the output is written, if each byte once

	mu     sync.Mutex
	errors readErrors
}

// tally counts what is in the file.
type tally struct {
	pages                   uint64
	zero, raw, packed, size atomic.Uint64
}

// run writes one wave after the other. It returns why it ended early, or nil.
func (e *engine) run(ctx context.Context, waves []*wave, workers []*worker, progress func(Progress)) error {
	ctx, e.stop = context.WithCancelCause(ctx)
	defer e.stop(nil)
	show := shower{f: progress, e: e, last: time.Now()}
	for _, w := range waves {
		if len(workers) == 1 {
			workers[0].run(ctx, w, show.maybe)
		} else {
			e.parallel(ctx, w, workers, show.now)
		}
		if ctx.Err() != nil {
			break
		}
	}
	show.now()
	return context.Cause(ctx)
}

func (e *engine) parallel(ctx context.Context, w *wave, workers []*worker, show func()) {
	var wg sync.WaitGroup
	for _, k := range workers {
		wg.Go(func() { k.run(ctx, w, func() {}) })
	}
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-all:
			return
		case <-ticker.C:
			show()
		}
	}
}

// guard ends the run when a worker panics: in the crash kernel a panic would
// take the machine, and the pages written so far, with it.
func (e *engine) guard(w *wave) {
	if p := recover(); p != nil {
		e.halt(w, fmt.Errorf("dump: internal error: %v\n%s", p, debug.Stack()))
	}
}

// halt ends the run, and the wait of workers for their turn.
func (e *engine) halt(w *wave, err error) {
	e.stop(err)
	if w.line != nil {
		w.line.close()
	}
}

// shower calls the caller's Progress at a bounded rate, when there is news.
type shower struct {
	f    func(Progress)
	e    *engine
	last time.Time
	seen Progress
}

func (s *shower) maybe() {
	if s.f == nil {
		return
	}
	if now := time.Now(); now.Sub(s.last) >= tick {
		s.last = now
		s.now()
	}
}

func (s *shower) now() {
	if s.f == nil {
		return
	}
	p := Progress{
		Done:     s.e.done.Load(),
		Total:    s.e.l.Pages,
		BytesIn:  s.e.bytesIn.Load(),
		BytesOut: uint64(s.e.next.Load() - s.e.l.Data),
	}
	if p != s.seen {
		s.seen = p
		s.f(p)
	}
}

// Bounds on what is done about pages that cannot be read.
const (
	// keptErrors is how many addresses are kept for the report.
	keptErrors = 16
	// badRun is after how many unreadable pages on end the rest of a run of
	// pages is left out.
	badRun = 16
	// patience is after how many unreadable pages a run of pages that cannot
	// be read as a whole is no longer tried page by page. A read that fails
	// may take seconds.
	patience = 1024
)

// readErrors collects the pages that could not be read.
type readErrors struct {
	count atomic.Uint64
	tried atomic.Uint64 // of these, those that cost an attempt of their own
	first error
	at    []uint64
}

// unreadable notes one page that the core does not give.
func (e *engine) unreadable(pa uint64, err error) {
	e.errors.count.Add(1)
	if !errors.Is(err, vmcore.ErrNoPage) { // those cost nothing
		e.errors.tried.Add(1)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.errors.first == nil {
		e.errors.first = err
	}
	if len(e.errors.at) < keptErrors {
		e.errors.at = append(e.errors.at, pa)
	}
}
