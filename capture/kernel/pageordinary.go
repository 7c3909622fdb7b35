package kernel

import "encoding/binary"

// Ordinary is what is left to ask of a page of [PageLayout.OrdinaryRun]: a sum of the bits below.
type Ordinary uint8

// The bits of [Ordinary].
const (
	OrdinaryAnon    Ordinary    = 1 << iota // anonymous memory of a process, else page cache
	OrdinaryPrivate                         // as [PageLayout.IsPrivate]
	OrdinaryBacked                          // backed by swap, where that is known
	OrdinaryBelow                           // has the flag below PG_lru
	OrdinaryAbove                           // has the flag above PG_lru
	OrdinaryKinds   = 1 << iota             // the number of sums
)

// OrdinaryRun tells quickly how many of the struct pages in b, from its start on, are
// ordinary pages of processes and files: on an LRU list, mapped and referred to, no part
// of a compound page, of no type, and with nothing else to be said of them. What is left
// to ask of each goes into kinds, whose length bounds the answer. Most pages of a busy
// machine are so, but for free ones.
func (l *PageLayout) OrdinaryRun(kinds []Ordinary, b []byte) (n int) {
	le := binary.LittleEndian
	flags, mapping, mapcount, head, refcount, size := l.flags, l.mapping, l.mapcount, l.head, l.refcount, int(l.Size)
	lru, strange, private, backed := l.lru, l.strange, l.privateBit, l.swapbacked
	anon := uint64(0)
	if l.slabKnown {
		anon = 1
	}
	if !l.hasRefcount {
		return 0
	}
	for ; n < len(kinds) && len(b) >= size; b = b[size:] {
		p := b[:size]
		f, h, m := le.Uint64(p[flags:]), le.Uint64(p[head:]), le.Uint64(p[mapping:])
		if f&lru == 0 || f&strange != 0 || f>>48 == 0xffff || h&1 != 0 || !kernelData(h) || m>>56 != 0xff || m&2 != 0 {
			break
		}
		if int32(le.Uint32(p[mapcount:])) < -1 || le.Uint32(p[refcount:])-1 >= maxRefs { // 0 is more, too
			break
		}
		kinds[n] = Ordinary(m&anon | bit(f&private)<<1 | bit(f&backed)<<2 | bit(f&(lru>>1))<<3 | bit(f&(lru<<1))<<4)
		n++
	}
	return n
}

// bit is 1 if v is not 0, else 0.
func bit(v uint64) uint64 { return (v | -v) >> 63 }

// KnowsBacked tells whether the kernel lets us know which pages are backed by swap; see
// [PageLayout.IsBacked].
func (l *PageLayout) KnowsBacked() bool { return l.swapbacked != 0 && l.swapcache != 0 }
