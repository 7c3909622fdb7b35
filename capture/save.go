package capture

import (
	"context"
	"errors"
	"io"

	"github.com/gokdump/gokdump/capture/codec"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// SaveOutput is the file that [Save] writes; a target.File is one.
type SaveOutput interface {
	io.WriterAt
	io.ReaderAt
	Truncate(size int64) error
	Sync() error
	Size() int64
}

// SaveOptions says what [Save] keeps, and how.
type SaveOptions struct {
	// Level is the dump level, 0 to 31, as makedumpfile(8) has it.
	Level int
	// Codec compresses the pages.
	Codec codec.ID
	// Workers is the number of goroutines that read and compress; 0 means one
	// for each CPU.
	Workers int
	// VerifyAll decodes each page after writing, not only the structure of the
	// dump and the pages that it cannot do without.
	VerifyAll bool
	// Event, if not nil, hears of steps and progress, from one goroutine at a
	// time. The steps are "filter", "write" and "verify".
	Event func(Event)
}

// SaveResult is what [Save] did. Counts are pages, sizes bytes.
type SaveResult struct {
	// Pages counts the pages by class, as capture/filter names them, and with
	// "zero" those that are all zeros.
	Pages map[string]uint64
	// RAMPages is all RAM; StoredPages is what the dump holds, LeftOutPages
	// what should be in it and is not, for want of room or time;
	// UnreadablePages could not be read from the core.
	RAMPages, StoredPages, LeftOutPages, UnreadablePages uint64
	PageSize                                             uint64
	CPUs                                                 int // with registers in the dump
	Workers                                              int // that were used
	Bytes                                                int64
	BytesIn                                              uint64
	// Partial: the dump opens, but lacks LeftOutPages; Cause says why.
	Partial bool
	Cause   error
	// VerifiedPages were decoded after writing.
	VerifiedPages uint64
	// Steps are the times taken.
	Steps    []Step
	Warnings []string
}

// Save filters the core src and writes what is kept to out as a
// kdump-compressed file, syncs it and checks what was written. It neither
// creates nor renames files. When ctx ends early or the disk is full, the dump
// is made a valid one of fewer pages: the result is Partial and the error nil.
// An error means that out holds nothing of use; the result, never nil, then
// tells how far it came.
func Save(ctx context.Context, src vmcore.Source, out SaveOutput, opt SaveOptions) (*SaveResult, error) {
	return &SaveResult{}, errors.New("save: not there yet")
}
