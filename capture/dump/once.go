package dump

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// OnceOutput is an Output that can take each byte once, and give none back, such as
// an object in a store, whose parts leave memory when they are full. Page data then
// comes in the order of the file, and so do the descriptors, of which those of the
// pages that are written first wait in memory, at two bytes a page; bitmaps and
// headers, which tell what is really there, come last. Nothing is ever rewritten:
// a dump that is cut short has no descriptors to drop.
type OnceOutput interface {
	Output
	// Once is called before anything is written. Page data will start at head, and
	// the file have most bytes at most; each of them is written once, and those
	// at the start come last. With false the output is like any other.
	Once(head, most int64) (bool, error)
}

// heldMemory bounds the descriptors that wait, in bytes: two for nearly every page.
// When they are too many, the pages that would come first no longer do.
const heldMemory = 16 << 20

// once writes a dump to a [OnceOutput].
type once struct {
	e     *engine
	first *pfnset.Set // may be nil
	max   int         // heldMemory
	held  []*heldWave // in the order of their worth
	rest  bool        // the wave under way is the last, whose descriptors need not wait

	found [2]total
	gone  *pfnset.Set // pages that turned out not to be had
	upTo  uint64      // pfns below are done with
	slot  uint64      // descriptors that were written, or wait in buf
	buf   []byte
}

func newOnce(e *engine, first *pfnset.Set) *once {
	return &once{e: e, first: first, max: heldMemory, gone: pfnset.New(e.l.MaxPFN), buf: make([]byte, 0, chunk)}
}

// line lets workers do something one after the other.
type line struct {
	mu   sync.Mutex
	cond sync.Cond
	turn uint64
	shut bool
}

func newLine() *line {
	l := new(line)
	l.cond.L = &l.mu
	return l
}

// wait waits for a turn; false means that it will never come.
func (l *line) wait(turn uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.turn != turn && !l.shut {
		l.cond.Wait()
	}
	return !l.shut
}

func (l *line) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn++
	l.cond.Broadcast()
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut = true
	l.cond.Broadcast()
}

// run writes all waves. It returns why it ended early, or nil.
func (o *once) run(ctx context.Context, waves []*wave, workers []*worker, progress func(Progress)) error {
	without := o.first // what need not be in the last wave
	for _, w := range waves[:len(waves)-1] {
		w.line = newLine()
		h := &heldWave{wave: &wave{in: w.in, without: w.without}}
		o.held = append(o.held, h)
		if err := o.e.run(ctx, []*wave{w}, workers, progress); err != nil {
			return err
		}
		if h.size() >= o.max { // the rest of it comes with the others
			without = o.recorded()
			break
		}
	}
	o.rest = true
	last := waves[len(waves)-1]
	rest := &wave{in: last.in, without: without, tally: last.tally, line: newLine()}
	return o.e.run(ctx, []*wave{rest}, workers, progress)
}

// recorded is the pages whose descriptors wait.
func (o *once) recorded() *pfnset.Set {
	all := pfnset.New(o.e.l.MaxPFN)
	for _, h := range o.held {
		again := &wave{in: h.wave.in, without: h.wave.without}
		for pfn := range again.first(h.count) {
			all.Add(pfn)
		}
	}
	return all
}

// block stores one block of pages, in its turn.
func (o *once) block(w *worker, pfns []uint64, from *wave, turn uint64) error {
	w.fill(pfns)
	if !from.line.wait(turn) {
		return errStopped
	}
	base := o.e.next.Load()
	if len(w.out) > 0 {
		if _, err := o.e.out.WriteAt(w.out, base); err != nil {
			return fmt.Errorf("dump: write %d bytes of pages at %d: %w", len(w.out), base, err)
		}
		o.e.next.Store(base + int64(len(w.out)))
	}
	if err := o.describe(w, pfns, base, from); err != nil {
		return err
	}
	w.remember(pfns, base)
	from.tally.size.Add(uint64(len(w.out)))
	o.e.shared.Add(w.local.shared)
	o.e.done.Add(uint64(len(pfns)))
	from.line.next()
	return nil
}

// errStopped is what a worker ends with when another one met an error.
var errStopped = errors.New("dump: stopped")

// describe takes the block's descriptors.
func (o *once) describe(w *worker, pfns []uint64, base int64, from *wave) error {
	if !o.rest {
		h := o.held[len(o.held)-1]
		end := base
		for i := range pfns {
			d := w.desc(i, base)
			h.push(d, o.e.l, d.Offset == end)
			if d.Offset == end {
				end += int64(d.Size)
			}
		}
		if h.start == 0 {
			h.start = base
		}
		if h.size() >= o.max {
			from.end()
		}
		return nil
	}
	for i, pfn := range pfns {
		if err := o.emitHeld(pfn); err != nil {
			return err
		}
		if err := o.emit(pfn, w.desc(i, base)); err != nil {
			return err
		}
	}
	return nil
}

// emitHeld gives out the descriptors that wait, of pfns below limit.
func (o *once) emitHeld(limit uint64) error {
	for {
		var next *heldWave
		for _, h := range o.held {
			if pfn, ok := h.peek(); ok && pfn < limit && (next == nil || pfn < next.pfns[0]) {
				next = h
			}
		}
		if next == nil {
			return nil
		}
		pfn, d := next.pop(o.e.l, o.e.codec.Flag())
		if err := o.emit(pfn, d); err != nil {
			return err
		}
	}
}

// emit writes one descriptor. A page that is not there has none.
func (o *once) emit(pfn uint64, d kdumpfmt.Desc) error {
	o.upTo = pfn + 1
	if d.Size == 0 {
		o.gone.Add(pfn)
		return nil
	}
	i := 1
	if o.first != nil && o.first.Has(pfn) {
		i = 0
	}
	o.found[i].add(d, o.e.l.Zero)
	o.slot++
	n := len(o.buf)
	o.buf = o.buf[:n+kdumpfmt.DescSize]
	d.Put(o.buf[n:])
	if len(o.buf)+kdumpfmt.DescSize > cap(o.buf) {
		return o.flush()
	}
	return nil
}

func (o *once) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	off := o.e.l.Desc + int64(o.slot)*kdumpfmt.DescSize - int64(len(o.buf))
	if _, err := o.e.out.WriteAt(o.buf, off); err != nil {
		return fmt.Errorf("dump: write %d descriptors at %d: %w", len(o.buf)/kdumpfmt.DescSize, off, err)
	}
	o.buf = o.buf[:0]
	return nil
}
