package kdumpfmt

import (
	"encoding/binary"
	"math"
)

// Offsets in the main header. Between the members that are written lie
// total_ram_blocks, device_blocks, written_blocks and current_cpu: all 0.
const (
	offVersion      = 8
	offUname        = 12
	unameLen        = 65
	offTime         = 408 // tv_sec; tv_usec at 416
	offStatus       = 424
	offBlockSize    = 428
	offSubBlocks    = 432
	offBitmapBlocks = 436
	offMaxMapNr     = 440
	offCPUs         = 460
)

// Offsets in the sub header.
const (
	subPhysBase   = 0
	subDumpLevel  = 8
	subSplit      = 12
	subStart      = 16
	subEnd        = 24
	subVMCoreInfo = 32 // offset, then size
	subNotes      = 48
	subEraseInfo  = 64
	subStart64    = 80
	subEnd64      = 88
	subMaxMapNr64 = 96
)

// Marshal gives the file's bytes from 0 to the end of the sub header:
// BlockSize + SubHeaderSize bytes, always as version 6. Strings that are too
// long are cut to 64 bytes. What follows is the notes' place when the header
// comes from [NewHeader].
//
// The microseconds of the crash time are always 0: libkdumpfile tries the file
// as a 32-bit dump first, in which their place is that of the block size.
func (h *Header) Marshal() []byte {
	le := binary.LittleEndian
	b := make([]byte, int(h.BlockSize)+SubHeaderSize)
	copy(b, Signature)
	le.PutUint32(b[offVersion:], Version)
	u := h.Uname
	for i, s := range []string{u.Sysname, u.Nodename, u.Release, u.Version, u.Machine, u.Domainname} {
		copy(b[offUname+i*unameLen:][:unameLen-1], s)
	}
	le.PutUint64(b[offTime:], uint64(h.CrashTime))
	le.PutUint32(b[offStatus:], h.Status)
	le.PutUint32(b[offBlockSize:], h.BlockSize)
	le.PutUint32(b[offSubBlocks:], h.SubBlocks)
	le.PutUint32(b[offBitmapBlocks:], h.BitmapBlocks)
	le.PutUint32(b[offMaxMapNr:], saturate(h.MaxMapNr))
	le.PutUint32(b[offCPUs:], uint32(h.CPUs))

	s := b[h.BlockSize:]
	le.PutUint64(s[subPhysBase:], uint64(h.PhysBase))
	le.PutUint32(s[subDumpLevel:], uint32(h.DumpLevel))
	le.PutUint32(s[subSplit:], uint32(h.Split))
	le.PutUint64(s[subStart:], h.StartPFN)
	le.PutUint64(s[subEnd:], h.EndPFN)
	for off, span := range map[int]Span{subVMCoreInfo: h.VMCoreInfo, subNotes: h.Notes, subEraseInfo: h.EraseInfo} {
		le.PutUint64(s[off:], uint64(span.Offset))
		le.PutUint64(s[off+8:], uint64(span.Size))
	}
	le.PutUint64(s[subStart64:], h.StartPFN)
	le.PutUint64(s[subEnd64:], h.EndPFN)
	le.PutUint64(s[subMaxMapNr64:], h.MaxMapNr)
	return b
}

func saturate(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }

// Desc is a page descriptor.
type Desc struct {
	// Offset of the page's bytes in the file. 0 means that the writer of an
	// incomplete dump lost the page.
	Offset int64
	// Size of the page's bytes in the file, at most a block; a whole block
	// exactly when Flags names no codec.
	Size uint32
	// Flags has at most one of the codec flags.
	Flags uint32
	// PageFlags is 0 in all files; readers ignore it.
	PageFlags uint64
}

// Put writes the descriptor into the first [DescSize] bytes of b.
func (d Desc) Put(b []byte) {
	_ = b[DescSize-1]
	binary.LittleEndian.PutUint64(b, uint64(d.Offset))
	binary.LittleEndian.PutUint32(b[8:], d.Size)
	binary.LittleEndian.PutUint32(b[12:], d.Flags)
	binary.LittleEndian.PutUint64(b[16:], d.PageFlags)
}

// ParseDesc reads a descriptor from the first [DescSize] bytes of b. Nothing
// is checked: see [Desc.Check].
func ParseDesc(b []byte) Desc {
	_ = b[DescSize-1]
	return Desc{
		Offset:    int64(binary.LittleEndian.Uint64(b)),
		Size:      binary.LittleEndian.Uint32(b[8:]),
		Flags:     binary.LittleEndian.Uint32(b[12:]),
		PageFlags: binary.LittleEndian.Uint64(b[16:]),
	}
}
