package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// groupBytes is how much of a block is read at once: enough to be worth a system
// call, and little enough to be in the CPU's own cache still when it is compressed.
const groupBytes = 128 << 10

// worker carries blocks from the core to the file. All its memory is allocated
// when it is made.
type worker struct {
	e      *engine
	r      vmcore.Reader
	enc    codec.Encoder
	flag   uint32
	zero   []byte          // one page of zeros
	pfns   []uint64        // the block
	mem    []byte          // pages of it, a group at a time
	read   []bool          // which of them could be read
	out    []byte          // the block's bytes in the file
	states []state         // of its pages
	descs  []kdumpfmt.Desc // and their descriptors
	hashes []uint64        // of those that are fresh
	table  []byte          // the descriptors' bytes in the file
	local  counts

	again vmcore.Reader // for pages that are looked at a second time
	other []byte        // such a page
	here  [hereSlots]uint16
}

// state is what became of a page of the block.
type state uint8

const (
	lost  state = iota // could not be read; its descriptor stays empty
	blank              // zeros: it has the shared page's bytes
	fresh              // in out, where its descriptor's offset counts from
	known              // has the bytes of a page that is in the file already
)

// hereSlots is the size of the table of a block's own pages: for each hash, the
// last page that had it, plus 1.
const hereSlots = 2 * blockPages

// counts are those of one block, added to the tally when it is in the file.
type counts struct{ zero, raw, packed, shared uint64 }

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
	again, err := e.src.NewReader()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("dump: %w", err)
	}
	n := min(blockPages, blockBytes/size)
	group := min(n, groupBytes/size)
	return &worker{
		e:      e,
		r:      r,
		enc:    enc,
		flag:   e.codec.Flag(),
		zero:   make([]byte, size),
		pfns:   make([]uint64, n),
		mem:    make([]byte, group*size),
		read:   make([]bool, group),
		out:    make([]byte, 0, (n-1)*size+codec.MaxEncoded(size)),
		states: make([]state, n),
		descs:  make([]kdumpfmt.Desc, n),
		hashes: make([]uint64, n),
		table:  make([]byte, n*kdumpfmt.DescSize),
		again:  again,
		other:  make([]byte, size),
	}, nil
}

func (w *worker) close() {
	w.r.Close()
	w.again.Close()
}

// run does blocks until the wave or the context ends. show is called after each.
func (w *worker) run(ctx context.Context, from *wave, show func()) {
	defer w.e.guard(from)
	for ctx.Err() == nil {
		n, turn := from.takeTurn(w.pfns)
		if n == 0 {
			return
		}
		var err error
		if w.e.once != nil {
			err = w.e.once.block(w, w.pfns[:n], from, turn)
		} else {
			err = w.block(w.pfns[:n], from.tally)
		}
		if err != nil {
			w.e.halt(from, err)
			return
		}
		show()
	}
}

// fill reads and compresses one block of pages.
func (w *worker) fill(pfns []uint64) {
	w.local, w.out = counts{}, w.out[:0]
	clear(w.here[:])
	group := len(w.read)
	for i := 0; i < len(pfns); i += group {
		j := min(i+group, len(pfns))
		w.load(pfns[i:j])
		w.pack(pfns, i, j)
	}
}

// block stores one block of pages. An error is the output's.
func (w *worker) block(pfns []uint64, t *tally) error {
	w.fill(pfns)
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
	w.remember(pfns, base)
	if wr := w.e.written; wr != nil && t == &w.e.tally[0] && len(w.out) > 0 {
		wr.wrote(w.out, base)
	}
	t.zero.Add(w.local.zero)
	t.raw.Add(w.local.raw)
	t.packed.Add(w.local.packed)
	t.size.Add(uint64(len(w.out)))
	w.e.shared.Add(w.local.shared)
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

// pack compresses the pages from i up to, not including, j, which were read, into
// out, and makes the descriptors.
func (w *worker) pack(pfns []uint64, i, j int) {
	size := len(w.zero)
	for k := i; k < j; k++ {
		if !w.read[k-i] {
			w.states[k], w.descs[k] = lost, kdumpfmt.Desc{}
			continue
		}
		page := w.mem[(k-i)*size : (k-i+1)*size]
		if bytes.Equal(page, w.zero) {
			w.local.zero++
			w.states[k], w.descs[k] = blank, kdumpfmt.Desc{Size: uint32(size)}
			continue
		}
		w.hashes[k] = xxhash.Sum64(page)
		if !w.twin(pfns, k, page) {
			w.encode(k, page)
		}
		if w.descs[k].Flags != 0 {
			w.local.packed++
		} else {
			w.local.raw++
		}
	}
}

// encode appends page k to out.
func (w *worker) encode(k int, page []byte) {
	at := len(w.out)
	w.states[k] = fresh
	w.descs[k] = kdumpfmt.Desc{Offset: int64(at), Size: uint32(len(page))}
	if p, ok := w.enc.Encode(w.out[at:], page); ok && len(p) < len(page) {
		w.out = w.out[:at+len(p)]
		w.descs[k].Size, w.descs[k].Flags = uint32(len(p)), w.flag
		return
	}
	w.out = append(w.out, page...)
}

// twin looks for the bytes of page k among those of this block and of those in the
// file, and describes it by them.
func (w *worker) twin(pfns []uint64, k int, page []byte) bool {
	hash := w.hashes[k]
	slot := &w.here[hash%hereSlots]
	if *slot != 0 {
		if i := int(*slot) - 1; w.hashes[i] == hash && w.same(pfns[i], page) {
			w.states[k], w.descs[k] = w.states[i], w.descs[i]
			w.local.shared++
			return true
		}
	}
	*slot = uint16(k + 1)
	pfn, d, ok := w.e.twins.find(hash, w.flag)
	if !ok || !w.same(pfn, page) {
		return false
	}
	w.states[k], w.descs[k] = known, d
	w.local.shared++
	return true
}

// same tells whether the page at pfn has these very bytes. That its hash was the
// same when it was stored is not enough to make one page stand for another.
func (w *worker) same(pfn uint64, page []byte) bool {
	return w.again.ReadPhys(w.other, pfn*uint64(len(page))) == nil && bytes.Equal(w.other, page)
}

// remember makes the block's pages, which lie in the file from base on, known.
func (w *worker) remember(pfns []uint64, base int64) {
	end := int64(-1)
	for k, s := range w.states[:len(pfns)] {
		if d := w.descs[k]; s == fresh && d.Offset > end { // not once more for its twins
			end = d.Offset
			d.Offset += base
			w.e.twins.add(w.hashes[k], pfns[k], d)
		}
	}
}

// describeHead describes the pages that lie in the first n bytes of out, which
// is what a full disk took of it.
func (w *worker) describeHead(pfns []uint64, base int64, n int) error {
	if n <= 0 {
		return nil
	}
	for i, d := range w.descs[:len(pfns)] {
		if w.states[i] == fresh && d.Offset+int64(d.Size) > int64(n) {
			w.states[i], w.descs[i] = lost, kdumpfmt.Desc{}
		}
	}
	return w.describe(pfns, base)
}

// describe writes the descriptors, with one write for each run of neighbouring
// slots; page data starts at base. The slots of unreadable pages stay empty.
func (w *worker) describe(pfns []uint64, base int64) error {
	const n = kdumpfmt.DescSize
	for i := range pfns {
		w.desc(i, base).Put(w.table[i*n:])
	}
	for i := 0; i < len(pfns); {
		j := i + 1
		for j < len(pfns) && (pfns[j] == pfns[j-1]+1 || w.e.keep.LenRange(pfns[j-1]+1, pfns[j]) == 0) {
			j++
		}
		slot := w.e.rank.Rank(pfns[i])
		off := w.e.l.Desc + int64(slot)*n
		if _, err := w.e.out.WriteAt(w.table[i*n:j*n], off); err != nil {
			return fmt.Errorf("dump: write %d descriptors at %d: %w", j-i, off, err)
		}
		if w.e.written != nil {
			sum := uint64(0)
			for k := i; k < j; k++ {
				sum += descSum(slot+uint64(k-i), w.desc(k, base))
			}
			w.e.written.table.Add(sum)
		}
		i = j
	}
	return nil
}

// desc is the descriptor of page i of the block, as the file has it.
func (w *worker) desc(i int, base int64) kdumpfmt.Desc {
	d := w.descs[i]
	switch w.states[i] {
	case blank:
		d.Offset = w.e.l.Zero
	case fresh:
		d.Offset += base
	}
	return d
}
