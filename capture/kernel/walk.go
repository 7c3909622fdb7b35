package kernel

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/gokdump/gokdump/capture/pfnset"
)

// Mapping is one leaf of the page tables: Size bytes at VA lie at PA.
type Mapping struct{ VA, PA, Size uint64 }

// Walk goes over the kernel's half of the page tables in the order of virtual
// addresses. It calls table for the pfns of every table page that it reads,
// once, and leaf for every mapping that is found there; a table that is entered
// in several places (KASAN shadow, cycles) is walked at the first one only.
// Tables at pfns of limit or above, and tables that cannot be read, are skipped
// and counted in skipped. The error is ctx's, or that of the top table.
func (s *Space) Walk(ctx context.Context, limit uint64, table func(start, end uint64), leaf func(Mapping)) (skipped int, err error) {
	w := walker{s: s, ctx: ctx, seen: pfnset.New(limit), limit: limit, table: table, leaf: leaf}
	for i := range s.levels {
		w.bufs = append(w.bufs, make([]byte, 8<<s.levels[i].bits))
	}
	if err := w.walk(0, s.root, 0); err != nil {
		return w.skipped, fmt.Errorf("walk the kernel's page tables from %#x: %w", s.root, err)
	}
	return w.skipped, nil
}

type walker struct {
	s       *Space
	ctx     context.Context
	seen    *pfnset.Set
	limit   uint64
	bufs    [][]byte // one table for each level
	table   func(start, end uint64)
	leaf    func(Mapping)
	skipped int
}

// walk reads one table of level i whose first entry maps va. Depth is bounded
// by the number of levels.
func (w *walker) walk(i int, pa, va uint64) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	size := uint64(len(w.bufs[i]))
	page := w.s.info.PageSize
	first, end := pa/page, (pa+size-1)/page+1
	if end > w.limit {
		w.skipped++
		return w.top(i, fmt.Errorf("table at %#x lies above all RAM", pa))
	}
	if w.seen.Has(first) {
		return nil
	}
	if err := w.s.mem.ReadPhys(w.bufs[i], pa); err != nil {
		w.skipped++
		return w.top(i, err)
	}
	w.seen.AddRange(first, end)
	w.table(first, end)
	l := w.s.levels[i]
	for n := range uint64(1) << l.bits {
		e := binary.LittleEndian.Uint64(w.bufs[i][n*8:])
		if e == 0 {
			continue
		}
		at := w.extend(i, va|n<<l.shift)
		if !w.s.arch.kernel(at) {
			continue
		}
		next, leaf, err := w.s.arch.decode(e, i)
		switch {
		case err != nil:
		case leaf:
			w.leaf(Mapping{at, next, 1 << l.shift})
		case i+1 < len(w.s.levels):
			if err := w.walk(i+1, next, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// top keeps an error of the top table; without others the walk goes on.
func (w *walker) top(i int, err error) error {
	if i == 0 {
		return err
	}
	return nil
}

// extend makes the address of a top table's entry canonical.
func (w *walker) extend(i int, va uint64) uint64 {
	l := w.s.levels[0]
	if i > 0 {
		return va
	}
	if top := l.shift + l.bits; va>>(top-1)&1 != 0 {
		return va | ^uint64(0)<<top
	}
	return va
}
