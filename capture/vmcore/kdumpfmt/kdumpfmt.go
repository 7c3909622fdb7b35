// Package kdumpfmt is the layout of a kdump-compressed file, version 6 and its
// forerunners down to 3, for 64-bit little-endian machines:
//
//	block 0                    main header
//	blocks 1 to 1+SubBlocks    sub header, then the notes
//	then                       bitmap 1: which pfns are RAM
//	then                       bitmap 2: which pages are stored
//	then                       a descriptor for each bit of bitmap 2, in pfn order
//	anywhere after             the pages, in any order
//
// A block is a page of the dumped kernel. The package owns bytes and their
// limits; reading pages is the business of capture/vmcore, writing files that of
// capture/dump. Facts: the format as crash(8), libkdumpfile and makedumpfile(8)
// read it, tried field by field.
package kdumpfmt

// Signature opens every kdump-compressed file.
const Signature = "KDUMP   "

// Versions of the format that [ParseHeader] reads. Below 3 there is no
// VMCOREINFO; 4 brought the notes, 5 the erase information, 6 pfns of 64 bits.
const (
	MinVersion = 3
	Version    = 6
)

// Sizes in bytes.
const (
	HeaderSize    = 464 // main header, struct disk_dump_header
	SubHeaderSize = 104 // sub header of version 6, struct kdump_sub_header
	DescSize      = 24  // one page descriptor, struct page_desc
)

// Bounds on what a header may claim.
const (
	MinBlockSize = 4 << 10
	MaxBlockSize = 64 << 10
	// MaxPFNs bounds max_mapnr: 52 bits of physical address in pages of 4 KiB.
	MaxPFNs = 1 << 40
	// MaxNotes bounds the notes and VMCOREINFO, in bytes.
	MaxNotes = 64 << 20
)

// Flags of a page descriptor; the first three and FlagZstd also in
// [Header].Status. No flag means a raw page of one block.
const (
	FlagZlib   = 0x1
	FlagLZO    = 0x2
	FlagSnappy = 0x4
	FlagZstd   = 0x20
)

// Flags of [Header].Status alone.
const (
	// FlagIncomplete says that the writer could not finish: pages that
	// bitmap 2 promises may be lost. Their descriptors have offset 0.
	FlagIncomplete = 0x8
	// FlagNoVmemmap says that unused parts of vmemmap were left out.
	FlagNoVmemmap = 0x10
)

// Uname is the crashed kernel's struct new_utsname (include/uapi/linux/utsname.h).
// In the header each member has 65 bytes with the end mark.
type Uname struct {
	Sysname, Nodename, Release, Version, Machine, Domainname string
}

// Span is a part of the file, in bytes. A part of size 0 is not there.
type Span struct{ Offset, Size int64 }

// Header is the main header and the sub header as one.
type Header struct {
	// Version of the format, [MinVersion] to [Version]. Marshal writes 6.
	Version int32
	// Uname of the crashed kernel. Readers choose the architecture by Machine;
	// libkdumpfile also wants Sysname, Release and Version to be not empty.
	Uname Uname
	// CrashTime is when the kernel crashed, in seconds since the epoch.
	CrashTime int64
	// Status has Flag bits: the codec, for information, and FlagIncomplete.
	Status uint32
	// BlockSize is the crashed kernel's page size, in bytes.
	BlockSize uint32
	// SubBlocks is how many blocks the sub header and the notes take.
	SubBlocks uint32
	// BitmapBlocks is how many blocks both bitmaps take together.
	BitmapBlocks uint32
	// MaxMapNr is the highest pfn plus 1.
	MaxMapNr uint64
	// CPUs is the number of CPUs that have a PRSTATUS note.
	CPUs int32

	// PhysBase is the kernel's phys_base. Only makedumpfile takes it from here.
	PhysBase int64
	// DumpLevel is makedumpfile's -d, for information.
	DumpLevel int32
	// Split is not 0 in one file of a set; it then holds the pfns from
	// StartPFN up to, not including, EndPFN.
	Split            int32
	StartPFN, EndPFN uint64
	// VMCoreInfo is the VMCOREINFO text, inside Notes when there are notes.
	VMCoreInfo Span
	// Notes is the PT_NOTE segment. Parsing leaves it empty below version 4.
	Notes Span
	// EraseInfo says what was erased. Parsing leaves it empty below version 5.
	EraseInfo Span
}

// NewHeader lays out a file of pages of blockSize bytes with pfns below
// maxMapNr, and a PT_NOTE segment of notesSize bytes right behind the sub
// header, at Notes.Offset. The caller adds the rest.
func NewHeader(blockSize uint32, maxMapNr uint64, notesSize int) *Header {
	h := &Header{Version: Version, BlockSize: blockSize, MaxMapNr: maxMapNr}
	b := uint64(blockSize)
	h.SubBlocks = uint32((SubHeaderSize + uint64(notesSize) + b - 1) / b)
	h.BitmapBlocks = uint32(2 * h.bitmapBlocksNeeded())
	h.Notes = Span{int64(blockSize) + SubHeaderSize, int64(notesSize)}
	return h
}

// bitmapBlocksNeeded is the size in blocks of one bitmap.
func (h *Header) bitmapBlocksNeeded() uint64 {
	return ((h.MaxMapNr+7)/8 + uint64(h.BlockSize) - 1) / uint64(h.BlockSize)
}

// TwoBitmaps tells whether there is a second bitmap; otherwise the only one
// tells both what is RAM and what is stored. All readers use this rule.
func (h *Header) TwoBitmaps() bool { return uint64(h.BitmapBlocks) >= 2*h.bitmapBlocksNeeded() }

// Bitmap1Offset is where bitmap 1 starts, in bytes.
func (h *Header) Bitmap1Offset() int64 { return (1 + int64(h.SubBlocks)) * int64(h.BlockSize) }

// Bitmap2Offset is where the bitmap of stored pages starts, in bytes: bitmap 1
// itself when there is no second.
func (h *Header) Bitmap2Offset() int64 {
	if !h.TwoBitmaps() {
		return h.Bitmap1Offset()
	}
	return h.Bitmap1Offset() + int64(h.BitmapBlocks/2)*int64(h.BlockSize)
}

// BitmapSize is how many bytes of each bitmap hold pfns below MaxMapNr.
func (h *Header) BitmapSize() int64 { return int64((h.MaxMapNr + 7) / 8) }

// DescOffset is where the descriptors start, in bytes.
func (h *Header) DescOffset() int64 {
	return (1 + int64(h.SubBlocks) + int64(h.BitmapBlocks)) * int64(h.BlockSize)
}
