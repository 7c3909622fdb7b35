package dump

import (
	"iter"

	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// heldWave is the descriptors of a wave that was written before its turn in pfn
// order. The page data of a wave lies in pfn order, one page after the other, so
// that its length is all that must be kept of a page, if its bytes are its own.
type heldWave struct {
	wave  *wave    // gives its pfns a second time
	pfns  []uint64 // of these, the next few
	room  [blockPages]uint64
	start int64 // where its page data starts
	codes [][]uint16
	at    int             // in codes[0]
	other []kdumpfmt.Desc // those that share bytes, in order
	count uint64          // pushed
	done  uint64          // popped
}

// codes of pages; all others are the length of a compressed page, of which there is
// none as short as these.
const (
	codeLost  = iota // not there
	codeZero         // the shared page of zeros
	codeRaw          // stored as it is
	codeOther        // has its descriptor in other
	codeFirst        // the least length
)

const codeChunk = 32 << 10

// push takes the next page's descriptor. own says that its bytes follow those of the
// page before.
func (h *heldWave) push(d kdumpfmt.Desc, l Layout, own bool) {
	code := uint16(codeOther)
	switch {
	case d.Size == 0:
		code = codeLost
	case d.Offset == l.Zero:
		code = codeZero
	case own && d.Flags == 0:
		code = codeRaw
	case own && d.Size >= codeFirst && d.Size < 1<<16:
		code = uint16(d.Size)
	default:
		h.other = append(h.other, d)
	}
	n := len(h.codes) - 1
	if n < 0 || len(h.codes[n]) == codeChunk {
		h.codes = append(h.codes, make([]uint16, 0, codeChunk))
		n++
	}
	h.codes[n] = append(h.codes[n], code)
	h.count++
}

// size is about how much memory it takes, in bytes.
func (h *heldWave) size() int {
	return len(h.codes)*codeChunk*2 + cap(h.other)*kdumpfmt.DescSize
}

// peek gives the next page.
func (h *heldWave) peek() (pfn uint64, ok bool) {
	if h.done == h.count {
		return 0, false
	}
	if len(h.pfns) == 0 {
		h.pfns = h.room[:h.wave.take(h.room[:])]
	}
	return h.pfns[0], true
}

// pop gives the next page, which peek has seen, and its descriptor.
func (h *heldWave) pop(l Layout, flag uint32) (uint64, kdumpfmt.Desc) {
	pfn := h.pfns[0]
	h.pfns = h.pfns[1:]
	code := h.codes[0][h.at]
	if h.at++; h.at == len(h.codes[0]) {
		h.codes, h.at = h.codes[1:], 0
	}
	h.done++
	var d kdumpfmt.Desc
	switch code {
	case codeLost:
		return pfn, d
	case codeZero:
		return pfn, kdumpfmt.Desc{Offset: l.Zero, Size: uint32(l.BlockSize)}
	case codeOther:
		d, h.other = h.other[0], h.other[1:]
		if d.Offset != h.start {
			return pfn, d
		}
	case codeRaw:
		d = kdumpfmt.Desc{Offset: h.start, Size: uint32(l.BlockSize)}
	default:
		d = kdumpfmt.Desc{Offset: h.start, Size: uint32(code), Flags: flag}
	}
	h.start += int64(d.Size)
	return pfn, d
}

// first gives the first n pfns of a wave.
func (w *wave) first(n uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		var pfns [blockPages]uint64
		for n > 0 {
			got := w.take(pfns[:min(n, blockPages)])
			if got == 0 {
				return
			}
			for _, pfn := range pfns[:got] {
				if !yield(pfn) {
					return
				}
			}
			n -= uint64(got)
		}
	}
}
