// Package dump writes kdump-compressed files of version 6 and proves that what
// was written is sound.
//
// The package owns the engine that reads, tests for zero, compresses and writes
// pages on all CPUs, the order of what lies where in the file, and how a dump
// that is cut short becomes a valid one of fewer pages. It never decides which
// pages are worth keeping (capture/filter does) nor where the file lies and what
// it is called (capture/target does).
//
// The file, from its start:
//
//	main header, sub header, notes     VMCOREINFO inside the notes, pointed at
//	bitmap 1                           pfns that are RAM
//	bitmap 2                           pfns that are stored
//	descriptors                        24 bytes for each stored pfn, in pfn order
//	one zero page                      shared by all pages that are all zeros
//	page data                          in the order in which workers finish; pages
//	                                   with the same bytes may share them
//
// Everything up to the zero page is given its room on the disk before the first
// page is written, so that it can be rewritten when the disk is full. The
// header lacks its signature until all else is on the disk: a file whose writer
// died is no dump by its magic.
//
// Facts: the format as crash(8), libkdumpfile and makedumpfile(8) read it; the
// layout itself is in capture/vmcore/kdumpfmt.
package dump

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// Output is the file that a dump is written to. WriteAt is called from several
// goroutines, for ranges that do not overlap. A target.File is one.
//
// An Output may also have these methods, which are used when they are there:
//
//	Sync() error                   // before the signature is written, and after
//	Allocate(off, n int64) error   // else zeros are written
//	Free() (uint64, error)         // bytes, for the message of a full disk
//	WriteOnly()                    // it cannot be read back: see [Flat]
//	Whole() int64                  // from where on a write that gave no error may be lost
//
// or be a [OnceOutput].
type Output interface {
	io.WriterAt
	io.ReaderAt
	Truncate(size int64) error
}

// Meta is what the header says about the crashed kernel. The rest of the header
// comes from the core and from the selection.
type Meta struct {
	// Uname is the crashed kernel's. Readers choose the architecture by it;
	// what must not be empty and is gets a stand-in.
	Uname vmcore.Uname
	// CrashTime is seconds since the epoch, 0 when unknown.
	CrashTime int64
	// PhysBase is VMCOREINFO's NUMBER(phys_base).
	PhysBase int64
	// Level is the dump level, 0 to 31, for information.
	Level int
	// CPUs is the number of CPUs with registers in the notes; 0 means that
	// the notes are counted.
	CPUs int
}

// Options says how to write.
type Options struct {
	// Codec compresses the pages; a page that does not shrink is stored raw.
	Codec codec.ID
	// Workers is the number of goroutines that read and compress; 0 means one
	// for each CPU. With one, the caller's goroutine does it all. Each takes up to
	// 2 MiB of memory.
	Workers int
	// Split, if not nil, makes the file one of a set: it gets the pages of that
	// range only, while its bitmaps tell of all pages of the set. Such a file
	// cannot be cut short: what would be a partial dump is an error.
	Split *Split
	// Progress, if not nil, is called from the goroutine that called Write, a
	// few times a second when there is something new, and once at the end.
	Progress func(Progress)
}

// Split is the pfns of one file of a set, from Start up to, not including, End.
// Start is a multiple of 64. The header of all files of a set must be the same:
// give all of them the same Meta.
type Split struct{ Start, End uint64 }

// Progress is how far a dump is.
type Progress struct {
	Done, Total uint64 // pages
	BytesIn     uint64 // read from the core
	BytesOut    uint64 // written as page data
}

// Stats is what became of the selected pages.
type Stats struct {
	// Pages is how many pages were to be stored; each is counted once in
	// Stored, LeftOut or Unreadable.
	Pages uint64
	// Stored is how many pages the file has; each is counted once in Zero,
	// Raw or Compressed.
	Stored uint64
	// Zero pages are all zeros and share the bytes of one page.
	Zero uint64
	// Raw pages are stored as they are.
	Raw uint64
	// Compressed pages are smaller in the file than in memory.
	Compressed uint64
	// Shared is how many of the raw and the compressed pages have the bytes of
	// another, which are stored once; when the dump was cut short, how many had
	// before.
	Shared uint64
	// LeftOut is how many pages are missing because the dump was cut short.
	LeftOut uint64
	// Unreadable is how many pages the core did not give; UnreadableAt has the
	// physical addresses of the first few, and ReadError the first error.
	Unreadable   uint64
	UnreadableAt []uint64
	ReadError    error
	// First and Rest are the two waves: the pages that make the dump open,
	// and all others.
	First, Rest Wave
	// BytesIn is how much memory was read.
	BytesIn uint64
	// Bytes is the size of the file.
	Bytes int64
	// Workers is how many goroutines compressed.
	Workers int
	// Once says that the output took each byte once, and gives none back: there is
	// nothing to verify.
	Once bool
	// Partial says that the dump was cut short: it is valid and lacks LeftOut
	// pages. Cause says why: the context's cause, or the error of the output.
	Partial bool
	Cause   error
	// Written is for [Verify]; nil when the dump was cut short or went into a stream.
	Written *Written
	// Elapsed is the time that all of it took, syncing included.
	Elapsed time.Duration
}

// Wave is what became of the pages of one wave.
type Wave struct {
	Pages  uint64 // to be stored
	Stored uint64 // in the file
	Bytes  uint64 // of page data, those of the shared zero page not counted; in a
	// dump that was cut short, bytes that pages share count for each of them
}

// ErrNothing is wrapped by the error of [Write] when the file would hold no
// page at all, and so is not made a dump.
var ErrNothing = errors.New("no page was stored")

// NoRoomError says that the disk cannot even take headers, bitmaps and
// descriptors. It unwraps to the system's error, such as ENOSPC.
type NoRoomError struct {
	Need int64 // bytes for headers, bitmaps and descriptors
	Free int64 // bytes; negative when unknown
	Err  error
}

func (e *NoRoomError) Error() string {
	free := "unknown"
	if e.Free >= 0 {
		free = fmt.Sprint(e.Free)
	}
	return fmt.Sprintf("dump: headers, bitmaps and descriptors need %d bytes, free are %s: %v", e.Need, free, e.Err)
}

func (e *NoRoomError) Unwrap() error { return e.Err }

// isFull tells whether an error says that there is no more room: the disk, the
// quota, or the largest file of the file system.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
