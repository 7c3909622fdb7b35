package dump

import (
	"sync"

	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// Readers take the offset in a descriptor for what it is, so that pages with the
// same bytes need be stored once. Real memory repeats itself: a file in page cache
// and in a pipe, copies of a library's data, debug fill patterns.

// Bounds of the table of pages that were stored: it forgets the oldest of a set, so
// that memory stays the same whatever the size of the dump. Most pages that repeat
// lie a few thousand pages apart.
const (
	twinWays = 4
	maxTwins = 64 << 10 // 16 bytes each, and 4 of a tag
	twinLock = 64
)

// twin is a page that is in the file.
type twin struct {
	place  uint64 // offset in the file, above its size less 1 in 16 bits
	origin uint64 // pfn, above one bit that says that it is compressed
}

// tags are parts of the hashes of a set's twins, apart from these: most pages have
// no twin, and looking for one then costs one line of the CPU's cache.
type tags [twinWays]uint32

// twins finds a page that has the same bytes, perhaps: a hash says so, and the page
// itself, read again, has to prove it. Methods may be called by several goroutines.
type twins struct {
	locks [twinLock]sync.Mutex
	tags  []tags
	all   [][twinWays]twin // newest first
}

// newTwins makes a table for a dump of so many pages. A page's memory is touched
// only when there is something to remember.
func newTwins(pages uint64) *twins {
	sets := uint64(1)
	for sets*twinWays < min(pages, maxTwins) {
		sets *= 2
	}
	return &twins{tags: make([]tags, sets), all: make([][twinWays]twin, sets)}
}

// split gives the set where hash belongs and the tag that it has there, never 0.
func (t *twins) split(hash uint64) (set uint64, tag uint32) {
	return hash % uint64(len(t.all)), uint32(hash>>32) | 1
}

// find gives a page that may have this hash, and where it is stored. flag is that of
// compressed pages.
func (t *twins) find(hash uint64, flag uint32) (pfn uint64, d kdumpfmt.Desc, ok bool) {
	set, tag := t.split(hash)
	lock := &t.locks[set%twinLock]
	lock.Lock()
	defer lock.Unlock()
	for i, have := range t.tags[set] {
		if have == tag {
			e := t.all[set][i]
			d = kdumpfmt.Desc{Offset: int64(e.place >> 16), Size: uint32(e.place&0xffff) + 1}
			if e.origin&1 != 0 {
				d.Flags = flag
			}
			return e.origin >> 1, d, true
		}
	}
	return 0, d, false
}

// add remembers a page whose bytes are in the file. What does not fit is left out;
// there is no file with such offsets.
func (t *twins) add(hash, pfn uint64, d kdumpfmt.Desc) {
	if d.Offset >= 1<<48 || d.Size == 0 || d.Size > 1<<16 {
		return
	}
	e := twin{uint64(d.Offset)<<16 | uint64(d.Size-1), pfn << 1}
	if d.Flags != 0 {
		e.origin |= 1
	}
	set, tag := t.split(hash)
	lock := &t.locks[set%twinLock]
	lock.Lock()
	defer lock.Unlock()
	ts, es := &t.tags[set], &t.all[set]
	copy(ts[1:], ts[:])
	copy(es[1:], es[:])
	ts[0], es[0] = tag, e
}
