package dump

import (
	"errors"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/codec"
)

// lateFile is on a disk that takes everything and loses, when it is written back, what
// lies behind limit. The loss shows once, in a later write or in Sync, as it does in
// the kernel, and takes the descriptors that are under way with it.
type lateFile struct {
	*memFile
	limit    int64
	early    bool // shows in a write
	inWrite  int64
	lost     error
	forgiven int
	how      error
	back     int64 // what Forgive gives
}

func (f *lateFile) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if int64(len(f.data)) > f.limit {
		clear(f.data[f.limit:])
		f.lost = f.how
	}
}

func (f *lateFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.memFile.WriteAt(p, off)
	if err == nil && f.early && off > f.limit+f.inWrite {
		f.lose()
		f.early = false
		return n, f.lost
	}
	return n, err
}

func (f *lateFile) Sync() error {
	if f.lost == nil {
		f.lose()
	}
	return errors.Join(f.lost, f.memFile.Sync())
}

func (f *lateFile) Forgive() int64 {
	f.lost = nil
	f.forgiven++
	return f.back
}

// A full disk may show only when data is written back. What may be lost by then is left
// out, more each time until the rest is on the disk.
func TestFullAtWriteBack(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, nil)
	l, err := LayoutOf(core, sel.Keep)
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, early := range []bool{false, true} {
			for _, room := range []int64{300 << 10, 1 << 20, 2 << 20} {
				if how == syscall.EIO && !early {
					continue // the bad place may be anywhere
				}
				f := &lateFile{memFile: newMemFile(-1), limit: l.Data + room, early: early, inWrite: 100 << 10, how: how, back: 256 << 10}
				if how == syscall.EIO {
					f.back = 1 << 20 // all that can be under way, as a real file has it
				}
				st, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.None, Workers: 2})
				if err != nil || !st.Partial || !errors.Is(st.Cause, how) || f.forgiven == 0 {
					t.Fatalf("%v, early %v, room %d: %+v, %v", how, early, room, st, err)
				}
				if st.Bytes > f.limit {
					t.Errorf("%v, early %v, room %d: %d bytes, where only %d can be", how, early, room, st.Bytes, f.limit)
				}
				k := reopen(t, f.memFile)
				sameAs(t, k, core, sel.Keep, false)
				addsUp(t, st, sel, k, f.memFile)
			}
		}
	}
}

// A disk that takes nothing any more is not tried for ever, and holds no dump.
func TestDeadAtWriteBack(t *testing.T) {
	core := newFakeCore(4096)
	sel := core.selection(some, nil)
	f := &lateFile{memFile: newMemFile(-1), how: syscall.EIO, back: 256 << 10}
	if _, err := Write(t.Context(), f, core, sel, Meta{}, Options{Codec: codec.None}); !errors.Is(err, syscall.EIO) || f.forgiven > 3 {
		t.Errorf("%v, after it was tried %d times more", err, f.forgiven)
	}
}
