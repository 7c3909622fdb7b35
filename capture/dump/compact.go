package dump

import (
	"errors"
	"fmt"
	"math/bits"
	"syscall"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// window is the number of pfns that the compactor looks at together.
const window = 8192

// compactor rewrites bitmap 2 and the descriptors in place to what is really in
// the file. It works from the file alone, front to back, in bounded memory, so
// it can be run again on its own result.
type compactor struct {
	e     *engine
	h     *kdumpfmt.Header
	first *pfnset.Set // may be nil

	end   int64    // page data from here on does not count
	step  int64    // how much the last cut took
	bad   int      // how often a bad place of the disk was cut off
	all   bool     // everything is written again, changed or not
	found [2]total // what is in the file, by wave
	last  int64    // where the last page's data ends

	bits  [window / 8]byte
	table [window * kdumpfmt.DescSize]byte
}

// compact drops the pages that have no descriptor, or whose data is not all
// before c.end, and sets c.end to where the data of the others ends.
func (c *compactor) compact() error {
	for {
		end := c.end
		if err := c.pass(); err != nil {
			return err
		}
		if c.end == end { // else pages were cut to make room for what was written
			break
		}
	}
	c.end = c.last
	return nil
}

func (c *compactor) pass() error {
	c.found = [2]total{}
	c.last = c.e.l.Data
	var in, out uint64 // slots read and written
	for pfn, ok := c.e.keep.Next(0); ok; pfn, ok = c.e.keep.Next(pfn) {
		pfn -= pfn % window
		had, have, err := c.window(pfn, in, out)
		if err != nil {
			return fmt.Errorf("dump: drop missing pages: %w", err)
		}
		in, out = in+had, out+have
		pfn += window
	}
	return nil
}

// window handles the pfns from pfn on, whose descriptors start at slot in and
// go to slot out. It returns how many there were and how many there are.
func (c *compactor) window(pfn, in, out uint64) (had, have uint64, err error) {
	const n = kdumpfmt.DescSize
	at := c.h.Bitmap2Offset() + int64(pfn/8)
	bitmap := c.bits[:min(window/8, c.h.BitmapSize()-int64(pfn/8))]
	if err := readAt(c.e.out, bitmap, at); err != nil {
		return 0, 0, err
	}
	for i, b := range bitmap {
		had += uint64(bits.OnesCount8(b & c.own(pfn+uint64(i*8))))
	}
	table := c.table[:had*n]
	if err := readAt(c.e.out, table, c.slot(in)); err != nil {
		return 0, 0, err
	}
	slot := uint64(0)
	for i, b := range bitmap {
		for b &= c.own(pfn + uint64(i*8)); b != 0; b &= b - 1 {
			bit := bits.TrailingZeros8(b)
			raw := table[slot*n : (slot+1)*n]
			slot++
			d := kdumpfmt.ParseDesc(raw)
			if !c.sound(d) {
				bitmap[i] &^= 1 << bit
				continue
			}
			copy(table[have*n:], raw)
			have++
			w := 1
			if c.first != nil && c.first.Has(pfn+uint64(i*8+bit)) {
				w = 0
			}
			c.found[w].add(d, c.e.l.Zero)
			c.last = max(c.last, d.Offset+int64(d.Size))
		}
	}
	if have != had || c.all {
		if err := c.write(bitmap, at); err != nil {
			return 0, 0, err
		}
	}
	if have > 0 && (have != had || in != out || c.all) {
		if err := c.write(table[:have*n], c.slot(out)); err != nil {
			return 0, 0, err
		}
	}
	return had, have, nil
}

// own masks the eight pfns from pfn on that this file of a set stores. Bounds of
// a set's files are multiples of eight, but for the last.
func (c *compactor) own(pfn uint64) byte {
	if c.h.Split == 0 || pfn >= c.h.StartPFN && pfn < c.h.EndPFN {
		return 0xff
	}
	return 0
}

func (c *compactor) slot(n uint64) int64 { return c.e.l.Desc + int64(n)*kdumpfmt.DescSize }

// sound tells whether a descriptor is one that was written whole.
func (c *compactor) sound(d kdumpfmt.Desc) bool {
	if d.Offset < c.e.l.Zero || d.Offset >= c.end { // most that are not: spare the error
		return false
	}
	return d.Check(uint32(c.e.l.BlockSize), c.end) == nil
}

// write rewrites what already has its room. Where that needs new room all the
// same, and there is none, pages make it.
func (c *compactor) write(p []byte, off int64) error {
	for {
		_, err := c.e.out.WriteAt(p, off)
		if err == nil || !isFull(err) || !c.cut() {
			return err
		}
	}
}

// cut gives the end of the page data back to the disk, more each time, and
// tells whether there was something left to give.
func (c *compactor) cut() bool {
	const least = 256 << 10
	if c.end <= c.e.l.Data {
		return false
	}
	c.step = max(least, 2*c.step)
	c.end = max(c.e.l.Data, c.end-c.step)
	return c.e.out.Truncate(c.end) == nil
}

// mayMend tells whether an error of a sync may be mended by salvage: no room, or a place
// of the disk that cannot be written. Some file systems, ext4 among them, call either EIO
// when data is written back. A place is at the end, since who writes stops at the first
// error; a disk that takes nothing any more is not tried for ever.
func (c *compactor) mayMend(err error) bool {
	const tries = 3
	if isFull(err) {
		return true
	}
	c.bad++
	return errors.Is(err, syscall.EIO) && c.bad <= tries
}

// salvage makes good that data could not be written back, and tells whether it could: a file that knows how much was under way then is cut by that,
// and what lies before the page data is written once more.
func (c *compactor) salvage() bool {
	f, ok := c.e.out.(interface{ Forgive() int64 })
	if !ok || c.end <= c.e.l.Data {
		return false
	}
	c.end = max(c.e.l.Data, c.end-f.Forgive())
	c.all = true
	return c.e.out.Truncate(c.end) == nil
}

// readAt fills p.
func readAt(f Output, p []byte, off int64) error {
	if n, err := f.ReadAt(p, off); n < len(p) {
		return fmt.Errorf("read %d bytes at %d: got %d: %w", len(p), off, n, nonNil(err, errShort))
	}
	return nil
}

var errShort = errors.New("short read")
