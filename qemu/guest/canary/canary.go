// Package canary marks pages so that each is known again in a dump, and by its
// bytes alone: which kind of memory it was, and which page of that.
//
// It owns the mark and its recognition, for the guest that writes pages and the
// test that looks for them. A mark fills its page. Less than 64 bytes of it in
// one piece, such as registers and stacks hold while pages are written, is none.
package canary

import (
	"encoding/binary"
	"fmt"
)

// Class is a kind of memory.
type Class uint8

// The kinds that the guest makes. Those behind Freed were given back.
const (
	Anon       Class = 1 + iota // private anonymous memory
	THP                         // the same, in transparent huge pages
	Hugetlb                     // a huge page of hugetlbfs
	Locked                      // anonymous memory behind mlock(2)
	Shmem                       // a file on tmpfs
	Memfd                       // memfd_create(2)
	Clean                       // page cache of a file that was only read
	Dirty                       // page cache of a file, not written back
	Young                       // a file on tmpfs again, its pages the last ones that were made
	Freed                       // anonymous memory, unmapped
	FreedTHP                    // the same, in huge pages
	FreedLock                   // memory behind mlock(2), unmapped
	NumClasses                  // one more than the last
)

var names = [NumClasses]string{
	"", "anon", "thp", "hugetlb", "mlocked", "shmem", "memfd", "cache clean", "cache dirty", "shmem young", "freed", "freed thp", "freed mlocked",
}

// String is the class's name in a report.
func (c Class) String() string {
	if c > 0 && c < NumClasses {
		return names[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// PageSize is the size of the pages that are marked, in bytes.
const PageSize = 4096

// Marks are 64-bit words: magic, class, index of the page.
const (
	magic      = 0x9ec4a7b1 << 32
	indexBits  = 24
	indexMask  = 1<<indexBits - 1
	magicMask  = 0xffffffff << 32
	pieceWords = 8
)

// Mark fills the pages of p with the marks of c, with indices from first on. The
// length of p is a multiple of [PageSize].
func Mark(p []byte, c Class, first int) {
	for at := 0; at < len(p); at += 8 {
		binary.NativeEndian.PutUint64(p[at:], magic|uint64(c)<<indexBits|uint64(first+at/PageSize)&indexMask)
	}
}

// Count adds, to n, by how many pieces of 64 bytes page holds marks of each
// class. A whole page of one class makes 64.
func Count(page []byte, n *[NumClasses]int) {
	run, last := 0, uint64(0)
	for ; len(page) >= 8; page = page[8:] {
		w := binary.LittleEndian.Uint64(page)
		if w&magicMask != magic {
			run, last = 0, 0
			continue
		}
		if w != last {
			run, last = 0, w
		}
		if run++; run == pieceWords {
			run = 0
			if c := Class(w >> indexBits); c > 0 && c < NumClasses {
				n[c]++
			}
		}
	}
}

// Pieces is how many pieces of 64 bytes a marked page makes.
const Pieces = PageSize / (8 * pieceWords)

// Report is what the guest did.
type Report struct {
	// Pages by class's name, of 4 KiB, that were marked.
	Pages map[string]int `json:"pages"`
	// Held is how many free pages are on lists of CPUs, where they are no longer
	// the owner's and not yet the allocator's.
	Held int `json:"held"`
	// DirtyKiB is what the kernel said is dirty.
	DirtyKiB int `json:"dirty_kib"`
	// HugeKiB is how much of the THP class lay in huge pages.
	HugeKiB int `json:"huge_kib"`
}

// CleanFile and DirtyFile are on the guest's disk; the first one must be there
// with CleanPages marked pages before the guest boots, the other one is made.
const (
	CleanFile  = "canary.clean"
	DirtyFile  = "canary.dirty"
	CleanPages = 1024
)

// What stands in front of a report, as JSON, on the guest's console: once all are marked,
// and once some were given back, when the guest waits for a line.
const (
	ReportPrefix = "canaries "
	FreedPrefix  = "canaries freed "
)
