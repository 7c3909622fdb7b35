package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// onceFile is an OnceOutput in memory that insists on what it was promised.
type onceFile struct {
	*memFile
	mu         sync.Mutex
	head, most int64
	taken      []bool
	next       int64 // where page data goes on
	wrong      error // the first thing that was not as promised
	limit      int64 // page data from here on is refused; 0: none
}

func newOnceFile() *onceFile { return &onceFile{memFile: newMemFile(-1)} }

func (f *onceFile) Once(head, most int64) (bool, error) {
	f.head, f.most, f.next = head, most, head
	f.taken = make([]bool, most)
	return true, nil
}

func (f *onceFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := off + int64(len(p))
	switch {
	case f.head == 0:
		f.blame("written before it was begun")
	case end > f.most:
		f.blame("%d bytes at %d, %d were announced", len(p), off, f.most)
	case off >= f.head && off != f.next:
		f.blame("page data at %d, not at %d", off, f.next)
	case off < f.head && end > f.head:
		f.blame("%d bytes at %d over the start of page data, %d", len(p), off, f.head)
	}
	if f.wrong != nil {
		return 0, f.wrong
	}
	if off >= f.head {
		if f.limit > 0 && end > f.limit {
			return 0, syscall.EFBIG
		}
		f.next = end
	}
	for i := off; i < end; i++ {
		if f.taken[i] {
			f.blame("byte %d is written twice", i)
			return 0, f.wrong
		}
		f.taken[i] = true
	}
	return f.memFile.WriteAt(p, off)
}

func (f *onceFile) blame(format string, a ...any) {
	if f.wrong == nil {
		f.wrong = fmt.Errorf(format, a...)
	}
}

func (f *onceFile) ReadAt([]byte, int64) (int, error) {
	f.blame("it is read")
	return 0, errors.ErrUnsupported
}

func (f *onceFile) Truncate(int64) error {
	f.blame("it is cut")
	return errors.ErrUnsupported
}

// kept checks that every byte was written, and gives the dump.
func (f *onceFile) kept(t *testing.T, st *Stats) vmcore.Kdump {
	t.Helper()
	if f.wrong != nil {
		t.Fatal(f.wrong)
	}
	for i, ok := range f.taken[:len(f.data)] {
		if !ok {
			t.Fatalf("byte %d of %d was not written", i, len(f.data))
		}
	}
	if !st.Once || st.Written != nil || st.Bytes != int64(len(f.data)) {
		t.Errorf("once %v, %d bytes of %d", st.Once, st.Bytes, len(f.data))
	}
	return reopen(t, f.memFile)
}

func onceCore(size uint64, alike uint64) *fakeCore {
	core := newFakeCore(size)
	core.alike = alike
	core.image = []vmcore.Range{{Start: 40100 * size, End: 40150 * size}}
	return core
}

func onceSome(pfn uint64) bool  { return some(pfn) || pfn >= 40100 && pfn < 40150 }
func onceEarly(pfn uint64) bool { return early(pfn) || pfn >= 40100 && pfn < 40150 }

// A dump that takes each byte once is the same dump.
func TestOnce(t *testing.T) {
	for _, id := range codecs {
		for _, workers := range []int{1, 2, 8} {
			for _, size := range []uint64{4096, 65536} {
				for _, alike := range []uint64{0, 10, 301} {
					if size != 4096 && (workers == 8 || alike == 10) {
						continue // costs much and shows no more
					}
					t.Run(fmt.Sprintf("%v/%d/%d/%d", id, workers, size, alike), func(t *testing.T) {
						core, f := onceCore(size, alike), newOnceFile()
						sel := core.selection(onceSome, onceEarly)
						st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: id, Workers: workers})
						if err != nil {
							t.Fatal(err)
						}
						k := f.kept(t, st)
						sameAs(t, k, core, sel.Keep, true)
						addsUp(t, st, sel, k, f.memFile)
						if st.First.Stored != sel.First.Len() {
							t.Errorf("%+v, of %d", st.First, sel.First.Len())
						}
						if _, err := Verify(t.Context(), k, VerifyOptions{Every: 1, Must: sel.Keep}); err != nil {
							t.Errorf("Verify: %v", err)
						}
					})
				}
			}
		}
	}
}

// Whatever is held, and wherever it ends: what is in the file is right, and what is
// needed most is there first.
func TestOnceCut(t *testing.T) {
	why := errors.New("deadline of the plan")
	for _, alike := range []uint64{0, 301} {
		for _, workers := range []int{1, 4} {
			core := onceCore(4096, alike)
			core.bad = map[uint64]error{}
			sel := core.selection(onceSome, onceEarly)
			for i, pfn := uint64(0), uint64(0); i < 50; i++ { // of both kinds
				pfn, _ = sel.Keep.Next(pfn + 37)
				core.bad[pfn] = syscall.EIO
			}
			whole := newOnceFile()
			if _, err := Write(t.Context(), whole, core, sel, Meta{}, Options{Codec: codec.Zstd, Workers: workers}); err != nil {
				t.Fatal(err)
			}
			data := int64(len(whole.data)) - whole.head
			for part := range int64(24) {
				for _, byContext := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d/%d/%d/%v", alike, workers, part, byContext), func(t *testing.T) {
						ctx, cancel := context.WithCancelCause(t.Context())
						defer cancel(nil)
						f, c := newOnceFile(), *core
						if byContext {
							var n atomic.Int64
							c.reads = func() {
								if n.Add(1) == 1+part*part/2 {
									cancel(why)
								}
							}
						} else {
							f.limit = whole.head + 1 + data*part/20
						}
						st, err := Write(ctx, f, &c, sel, Meta{}, Options{Codec: codec.Zstd, Workers: workers})
						if errors.Is(err, ErrNothing) && f.next == f.head {
							return
						}
						if err != nil {
							t.Fatal(err)
						}
						k := f.kept(t, st)
						sameAs(t, k, core, sel.Keep, false)
						addsUp(t, st, sel, k, f.memFile)
						if st.Rest.Stored > 0 && st.First.Stored+uint64(len(core.bad)) < st.First.Pages {
							t.Errorf("%+v before %+v", st.Rest, st.First)
						}
						if st.Partial && !errors.Is(st.Cause, why) && !errors.Is(st.Cause, syscall.EFBIG) {
							t.Errorf("cause: %v", st.Cause)
						}
						check, err := Verify(t.Context(), k, VerifyOptions{Every: 1})
						if err != nil || check.Incomplete != st.Partial || check.Zero != st.Zero || check.Raw != st.Raw {
							t.Errorf("Verify: %+v, %v; written %+v", check, err, st)
						}
					})
				}
			}
		}
	}
}

// More pages come first than memory can hold the descriptors of.
func TestOnceHeld(t *testing.T) {
	for _, max := range []int{1, codeChunk * 2, codeChunk * 4} {
		for _, workers := range []int{1, 4} {
			core, f := onceCore(4096, 301), newOnceFile()
			sel := core.selection(onceSome, onceSome) // all of them
			h, notes, err := newHeader(core)
			if err != nil {
				t.Fatal(err)
			}
			l, err := layOut(h, sel.Keep)
			if err != nil {
				t.Fatal(err)
			}
			e := &engine{out: f, src: core, codec: codec.LZO, keep: sel.Keep, rank: pfnset.NewIndex(sel.Keep), l: l, twins: newTwins(l.Pages)}
			e.next.Store(l.Data)
			if _, err := begin(f, l); err != nil {
				t.Fatal(err)
			}
			ws, err := newWorkers(e, workers)
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(ws)
			o := newOnce(e, sel.First)
			e.once, o.max = o, max
			describe(h, Meta{}, core.Machine(), codec.LZO)
			if err := o.run(t.Context(), e.plan(sel.Keep, sel.First, pages(core.KernelImage(), 4096, l.MaxPFN)), ws, nil); err != nil {
				t.Fatal(err)
			}
			st := &Stats{Pages: l.Pages}
			if err := o.finish(h, notes, sel.RAM, st); err != nil {
				t.Fatal(err)
			}
			sameAs(t, f.kept(t, st), core, sel.Keep, true)
			held := uint64(0)
			for _, w := range o.held {
				held += w.count
			}
			if max == 1 && held > uint64(workers+1)*blockPages {
				t.Errorf("%d descriptors waited", held)
			}
		}
	}
}

// A worker that dies does not let the others wait for its turn.
func TestOncePanics(t *testing.T) {
	core, f := onceCore(4096, 0), newOnceFile()
	sel := core.selection(onceSome, onceEarly)
	var n atomic.Int64
	core.reads = func() {
		if n.Add(1) == 30 {
			panic("a defect of ours")
		}
	}
	st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.None, Workers: 4})
	if err != nil || !st.Partial || !bytes.Contains([]byte(fmt.Sprint(st.Cause)), []byte("a defect of ours")) {
		t.Fatalf("%+v, %v", st, err)
	}
	sameAs(t, f.kept(t, st), core, sel.Keep, false)
}
