package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// PageLayout knows how a kernel lays out and marks struct page. Its methods
// take the bytes of one struct page, of Size bytes or more, and answer false
// for what this kernel does not let us know. It does not change once made.
type PageLayout struct {
	// Size is sizeof(struct page) in bytes.
	Size uint64
	// Unknown names what cannot be told from this VMCOREINFO, each with what
	// follows from it.
	Unknown []string
	// FreeOrders is LENGTH(zone.free_area): orders of free blocks are below it.
	FreeOrders uint64

	flags, mapping, mapcount, refcount, private, head int
	hasRefcount                                       bool

	lru, privateBit, swapcache, slab, hwpoison uint64 // masks; 0: no such bit
	reserved, headMask, swapbacked             uint64
	special                                    uint64   // all masks
	inFree                                     uint64   // of these, what no page inside a free block has
	strange                                    uint64   // and what no ordinary page has
	poisonHint                                 uint64   // where PG_hwpoison should be, if it is not there
	poisonUnknown                              bool     // the hint is no more than a guess
	poisonUnsure                               bool     // it is where it should not be, though it may
	unaccepted                                 pageType // where VMCOREINFO does not tell of it
	types                                      pageTypes
	slabKnown                                  bool

	anonMarks uint64 // flags of which an anonymous page has at least one
	pointers  bool   // a tail's head field is the address of its head, not a mask

	order    int // offset of the order byte in page[1]; -1: unknown
	dtor     int // offset of the destructor in page[1]; -1: none
	dtorHuge byte
	hugetlb  uint64 // mask of PG_hugetlb in page[1].flags

	pageShift uint
}

// pageTypes are values of _mapcount that mark a page's use.
type pageTypes struct{ buddy, offline, slab, hugetlb, unaccepted pageType }

// pageType is one value: equal in all bits, or since 6.12, when its low 24 bits
// are 0, in the top byte, since a type may use the lower ones.
type pageType struct {
	value uint32 // 0: no such type
	shift uint
}

func (t pageType) is(mapcount uint32) bool { return t.value != 0 && mapcount>>t.shift == t.value }

// NewPageLayout derives the layout from VMCOREINFO. It is an error when a key
// is missing without which no page could be judged.
func NewPageLayout(info *Info) (*PageLayout, error) {
	l := &PageLayout{order: -1, dtor: -1, pageShift: uint(bits.TrailingZeros64(info.PageSize))}
	info, known, said := believable(info)
	l.Unknown = said
	l.unaccepted = unacceptedHint(info, known)
	size, ok := info.Size("page")
	if !ok || size < minStructPage || size > maxStructPage || size%8 != 0 {
		return nil, fmt.Errorf("layout of struct page of kernel %s: SIZE(page) is %d or missing", info.Release, size)
	}
	l.Size = size
	for _, m := range []struct {
		to    *int
		width uint64
		names []string
	}{
		{&l.flags, 8, []string{"page.flags"}},
		{&l.mapping, 8, []string{"page.mapping"}},
		{&l.mapcount, 4, []string{"page._mapcount"}},
		{&l.private, 8, []string{"page.private"}},
		{&l.head, 8, []string{"page.compound_info", "page.compound_head"}}, // renamed in 7.1
	} {
		off, err := l.member(info, m.width, m.names...)
		if err != nil && len(said) > 0 {
			err = errors.New(strings.Join(said, "; "))
		}
		if err != nil {
			return nil, fmt.Errorf("layout of struct page of kernel %s: %w", info.Release, err)
		}
		*m.to = off
	}
	l.refcount = l.mapcount // which is not negative in a plain page either
	if off, err := l.member(info, 4, "page._refcount", "page._count"); err == nil {
		l.refcount, l.hasRefcount = off, true
	}
	l.readBits(info)
	l.readPoison(info, known)
	l.shared(info)
	l.readTypes(info)
	l.readCompound(info)
	_, mask := info.Offset("page.compound_info")
	l.pointers = !mask
	l.mark()
	return l, nil
}

// member finds the first offset of names that is exported.
func (l *PageLayout) member(info *Info, width uint64, names ...string) (int, error) {
	for _, n := range names {
		off, ok := info.Offset(n)
		if !ok {
			continue
		}
		if off+width > l.Size || off > l.Size {
			return 0, fmt.Errorf("OFFSET(%s) is %d in %d bytes", n, off, l.Size)
		}
		if off%width != 0 {
			return 0, fmt.Errorf("OFFSET(%s) is %d, no place for a member of %d bytes", n, off, width)
		}
		return int(off), nil
	}
	return 0, fmt.Errorf("VMCOREINFO has no OFFSET(%s)", names[0])
}

// mark collects the flags that make a page special.
func (l *PageLayout) mark() {
	l.inFree = l.lru | l.swapcache | l.slab | l.hwpoison | l.reserved | l.headMask
	l.special = l.inFree | l.poisonHint
	l.strange = l.slab | l.hwpoison | l.reserved | l.headMask | l.poisonHint
}

func (l *PageLayout) unknown(format string, a ...any) {
	l.Unknown = append(l.Unknown, fmt.Sprintf(format, a...))
}

func (l *PageLayout) f(p []byte) uint64 { return binary.LittleEndian.Uint64(p[l.flags:]) }
func (l *PageLayout) t(p []byte) uint32 { return binary.LittleEndian.Uint32(p[l.mapcount:]) }
func (l *PageLayout) m(p []byte) uint64 { return binary.LittleEndian.Uint64(p[l.mapping:]) }
func (l *PageLayout) refs(p []byte) int32 {
	return int32(binary.LittleEndian.Uint32(p[l.refcount:]))
}

// IsPlain tells quickly that none of the other questions has a yes: no flag,
// type or mapping, and nothing implausible. Most pages of a busy kernel are so.
func (l *PageLayout) IsPlain(p []byte) bool {
	f, h := l.f(p), l.TailWord(p)
	if f&l.special != 0 || f>>48 == 0xffff || l.m(p) != 0 || h&1 != 0 || !kernelData(h) {
		return false
	}
	mapcount, refs := int32(l.t(p)), l.refs(p)
	return mapcount >= -1 && (refs >= 0 && refs <= maxRefs || !l.hasRefcount) && (mapcount != 0 || !l.IsBlank(p))
}

// IsUninit tells that the kernel has not initialised this struct page: all its
// flags are set (PAGE_POISON_PATTERN, include/linux/page-flags.h).
func (l *PageLayout) IsUninit(p []byte) bool { return l.f(p) == ^uint64(0) }

// IsTail tells that the page is a compound page's, and not its first. Of the
// field only bit 0 has a meaning in all kernels.
func (l *PageLayout) IsTail(p []byte) bool { return p[l.head]&1 != 0 }

// IsHead tells that the page is the first of a compound page.
func (l *PageLayout) IsHead(p []byte) bool { return l.f(p)&l.headMask != 0 }

// IsSlab tells that the page belongs to the slab allocator; its mapping and
// private fields are then something else.
func (l *PageLayout) IsSlab(p []byte) bool {
	return l.f(p)&l.slab != 0 || l.types.slab.is(l.t(p))
}

// IsFree tells that a block of 2^order free pages starts here: it says so, and
// nobody refers to it. The order is not checked against FreeOrders.
func (l *PageLayout) IsFree(p []byte) (order uint64, free bool) {
	if !l.types.buddy.is(l.t(p)) || l.IsSlab(p) || l.hasRefcount && l.refs(p) != 0 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(p[l.private:]), true
}

// IsUnaccepted tells that a block of the greatest order starts here that the
// guest has not accepted from its host yet (TDX, SEV-SNP); it cannot be read.
func (l *PageLayout) IsUnaccepted(p []byte) bool {
	return l.types.unaccepted.is(l.t(p)) && !l.IsSlab(p) && (!l.hasRefcount || l.refs(p) == 0)
}

// HintsUnaccepted is the same for a kernel whose VMCOREINFO does not tell of such pages,
// by what other kernels have.
func (l *PageLayout) HintsUnaccepted(p []byte) bool {
	return l.unaccepted.is(l.t(p)) && !l.IsSlab(p) && (!l.hasRefcount || l.refs(p) == 0)
}

// IsOffline tells that a balloon or hypervisor driver took the page out of use, and
// refers to it, as those do.
func (l *PageLayout) IsOffline(p []byte) bool {
	return l.saysOffline(p) && (!l.hasRefcount || l.refs(p) > 0)
}

// IsIdleOffline tells that the page says to be out of use, but that nobody refers to
// it.
func (l *PageLayout) IsIdleOffline(p []byte) bool {
	return l.saysOffline(p) && l.hasRefcount && l.refs(p) == 0
}

func (l *PageLayout) saysOffline(p []byte) bool {
	return l.types.offline.is(l.t(p)) && !l.IsSlab(p) && l.f(p)&l.lru == 0
}

// IsAnon tells that the page is anonymous memory of a process: its mapping is
// the address of a kernel object with bit 0 set (include/linux/page-flags.h,
// PAGE_MAPPING_ANON), and it is on an LRU list or would go to swap. Without that, a
// count and half a stale address in a slab page can look like it.
func (l *PageLayout) IsAnon(p []byte) bool {
	m := l.m(p)
	return l.slabKnown && m&1 != 0 && m>>63 != 0 && !l.IsSlab(p) && (l.anonMarks == 0 || l.f(p)&l.anonMarks != 0)
}

// IsCache tells that the page is on an LRU list or in the swap cache.
func (l *PageLayout) IsCache(p []byte) bool {
	f := l.f(p)
	return (f&l.lru != 0 || l.swapcache != 0 && f&l.swapcache == l.swapcache) && !l.IsSlab(p)
}

// IsPrivate tells that the file system keeps private data with the page.
func (l *PageLayout) IsPrivate(p []byte) bool { return l.f(p)&l.privateBit != 0 }

// IsReserved guesses whether the page was allocated before the buddy allocator
// was up, as the first per-cpu areas are. The bit is not exported; it lies
// before PG_private in all kernels. Good for a priority, not for a decision.
func (l *PageLayout) IsReserved(p []byte) bool { return l.f(p)&l.reserved != 0 }
