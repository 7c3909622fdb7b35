package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// worker carries blocks from the core to the file. All its memory is allocated
// when it is made.
type worker struct {
	e     *engine
	r     vmcore.Reader
	enc   codec.Encoder
	flag  uint32
	zero  []byte          // one page of zeros
	pfns  []uint64        // the block
	mem   []byte          // its pages
	read  []bool          // which of them could be read
	out   []byte          // their bytes in the file
	descs []kdumpfmt.Desc // offsets count from out, until it has its place
	table []byte          // the descriptors' bytes in the file
	local counts
}

// counts are those of one block, added to the tally when it is in the file.
type counts struct{ zero, raw, packed uint64 }

func newWorker(e *engine) (*worker, error) {
	size := int(e.l.BlockSize)
	enc, err := codec.NewEncoder(e.codec, size)
	if err != nil {
		return nil, fmt.Errorf("dump: %w", err)
	}
	r, err := e.src.NewReader()
	if err != nil {
		return nil, fmt.Errorf("dump: %w", err)
	}
	n := min(blockPages, blockBytes/size)
	return &worker{
		e:     e,
		r:     r,
		enc:   enc,
		flag:  e.codec.Flag(),
		zero:  make([]byte, size),
		pfns:  make([]uint64, n),
		mem:   make([]byte, n*size),
		read:  make([]bool, n),
		out:   make([]byte, 0, (n-1)*size+codec.MaxEncoded(size)),
		descs: make([]kdumpfmt.Desc, n),
		table: make([]byte, n*kdumpfmt.DescSize),
	}, nil
}

// run does blocks until the wave or the context ends. show is called after each.
func (w *worker) run(ctx context.Context, from *wave, show func()) {
	defer w.e.guard()
	for ctx.Err() == nil {
		n := from.take(w.pfns)
		if n == 0 {
			return
		}
		if err := w.block(w.pfns[:n], from.tally); err != nil {
			w.e.stop(err)
			return
		}
		show()
	}
}

// block stores one block of pages. An error is the output's.
func (w *worker) block(pfns []uint64, t *tally) error {
	w.load(pfns)
	w.pack(pfns)
	base := w.e.next.Add(int64(len(w.out))) - int64(len(w.out))
	if len(w.out) > 0 {
		if n, err := w.e.out.WriteAt(w.out, base); err != nil {
			return errors.Join(
				fmt.Errorf("dump: write %d bytes of pages at %d: %w", len(w.out), base, err),
				w.describeHead(pfns, base, n))
		}
	}
	// Only now: a descriptor in the file means that its page is there too.
	if err := w.describe(pfns, base); err != nil {
		return err
	}
	t.zero.Add(w.local.zero)
	t.raw.Add(w.local.raw)
	t.packed.Add(w.local.packed)
	t.size.Add(uint64(len(w.out)))
	w.e.done.Add(uint64(len(pfns)))
	return nil
}

// load reads the pages, as many at once as lie side by side.
func (w *worker) load(pfns []uint64) {
	size := uint64(w.e.l.BlockSize)
	for i := 0; i < len(pfns); {
		j := i + 1
		for j < len(pfns) && pfns[j] == pfns[j-1]+1 {
			j++
		}
		p := w.mem[uint64(i)*size : uint64(j)*size]
		if err := w.r.ReadPhys(p, pfns[i]*size); err != nil {
			w.loadPages(pfns, i, j, err)
		} else {
			for k := i; k < j; k++ {
				w.read[k] = true
			}
			w.e.bytesIn.Add(uint64(len(p)))
		}
		i = j
	}
}

// loadPages reads pages i up to, not including, j one by one, after err of
// reading them all at once.
func (w *worker) loadPages(pfns []uint64, i, j int, err error) {
	size := uint64(w.e.l.BlockSize)
	bad := 0 // on end
	if j > i+1 && w.e.errors.tried.Load() >= patience && !errors.Is(err, vmcore.ErrNoPage) {
		bad = badRun
	}
	for k := i; k < j; k++ {
		pa := pfns[k] * size
		if bad < badRun {
			if j > i+1 { // else it was just tried
				err = w.r.ReadPhys(w.mem[uint64(k)*size:uint64(k+1)*size], pa)
			}
			if w.read[k] = err == nil; w.read[k] {
				bad = 0
				w.e.bytesIn.Add(size)
				continue
			}
			if !errors.Is(err, vmcore.ErrNoPage) {
				bad++
			}
		}
		w.read[k] = false
		w.e.unreadable(pa, err)
	}
}

// pack compresses what was read into out and makes the descriptors.
func (w *worker) pack(pfns []uint64) {
	size := int(w.e.l.BlockSize)
	w.out = w.out[:0]
	w.local = counts{}
	for i := range pfns {
		if !w.read[i] {
			w.descs[i] = kdumpfmt.Desc{}
			continue
		}
		page := w.mem[i*size : (i+1)*size]
		if bytes.Equal(page, w.zero) {
			w.local.zero++
			w.descs[i] = kdumpfmt.Desc{Offset: -1, Size: uint32(size)}
			continue
		}
		at := len(w.out)
		if p, ok := w.enc.Encode(w.out[at:], page); ok && len(p) < size {
			w.local.packed++
			w.out = w.out[:at+len(p)]
			w.descs[i] = kdumpfmt.Desc{Offset: int64(at), Size: uint32(len(p)), Flags: w.flag}
			continue
		}
		w.local.raw++
		w.out = append(w.out, page...)
		w.descs[i] = kdumpfmt.Desc{Offset: int64(at), Size: uint32(size)}
	}
}

// describeHead describes the pages that lie in the first n bytes of out, which
// is what a full disk took of it.
func (w *worker) describeHead(pfns []uint64, base int64, n int) error {
	if n <= 0 {
		return nil
	}
	for i, d := range w.descs[:len(pfns)] {
		if d.Offset >= 0 && d.Offset+int64(d.Size) > int64(n) { // below 0: the shared zero page
			w.descs[i] = kdumpfmt.Desc{}
		}
	}
	return w.describe(pfns, base)
}

// describe writes the descriptors, with one write for each run of neighbouring
// slots; page data starts at base. The slots of unreadable pages stay empty.
func (w *worker) describe(pfns []uint64, base int64) error {
	const n = kdumpfmt.DescSize
	for i, d := range w.descs[:len(pfns)] {
		switch {
		case d.Offset < 0:
			d.Offset = w.e.l.Zero
		case d.Size != 0:
			d.Offset += base
		}
		d.Put(w.table[i*n:])
	}
	for i := 0; i < len(pfns); {
		j := i + 1
		for j < len(pfns) && (pfns[j] == pfns[j-1]+1 || w.e.keep.LenRange(pfns[j-1]+1, pfns[j]) == 0) {
			j++
		}
		off := w.e.l.Desc + int64(w.e.rank.Rank(pfns[i]))*n
		if _, err := w.e.out.WriteAt(w.table[i*n:j*n], off); err != nil {
			return fmt.Errorf("dump: write %d descriptors at %d: %w", j-i, off, err)
		}
		i = j
	}
	return nil
}
