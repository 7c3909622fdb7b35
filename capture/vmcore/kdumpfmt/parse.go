package kdumpfmt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// ErrHeader is wrapped by the errors of [ParseHeader] for bytes that are no
// header, or one that cannot be true.
var ErrHeader = errors.New("kdump-compressed header is wrong")

// ErrUnsupported is wrapped by the errors of [ParseHeader] for a header of a
// kind that this package does not read: 32-bit, big-endian, or another version.
var ErrUnsupported = errors.New("kdump-compressed file of an unsupported kind")

// ErrTruncated is wrapped by the errors of [ParseHeader] when the file ends
// before the descriptors.
var ErrTruncated = errors.New("kdump-compressed file is truncated")

// ErrDesc is wrapped by the errors of [Desc.Check].
var ErrDesc = errors.New("page descriptor is wrong")

// ParseHeader reads and checks the headers of a file of size bytes. What it
// returns can be relied on: the block size is sane, bitmaps lie in the file and
// cover MaxMapNr, spans lie in the file and are not too large.
func ParseHeader(r io.ReaderAt, size int64) (*Header, error) {
	var b [HeaderSize]byte
	if err := readAt(r, b[:], 0, size, "main header"); err != nil {
		return nil, err
	}
	if err := checkKind(b[:]); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	h := &Header{
		Version:      int32(le.Uint32(b[offVersion:])),
		Uname:        parseUname(b[offUname:]),
		CrashTime:    int64(le.Uint64(b[offTime:])),
		Status:       le.Uint32(b[offStatus:]),
		BlockSize:    le.Uint32(b[offBlockSize:]),
		SubBlocks:    le.Uint32(b[offSubBlocks:]),
		BitmapBlocks: le.Uint32(b[offBitmapBlocks:]),
		MaxMapNr:     uint64(le.Uint32(b[offMaxMapNr:])),
		CPUs:         int32(le.Uint32(b[offCPUs:])),
	}
	if h.SubBlocks == 0 {
		return nil, fmt.Errorf("%w: the sub header has no blocks", ErrHeader)
	}
	var s [SubHeaderSize]byte
	if err := readAt(r, s[:], int64(h.BlockSize), size, "sub header"); err != nil {
		return nil, err
	}
	h.parseSub(s[:])
	if err := h.check(size); err != nil {
		return nil, err
	}
	return h, nil
}

// checkKind tells other kinds of file from the one that is read here.
func checkKind(b []byte) error {
	if string(b[:8]) == "DISKDUMP" {
		return fmt.Errorf("%w: diskdump, the format before kdump", ErrUnsupported)
	}
	if string(b[:8]) != Signature {
		return fmt.Errorf("%w: signature is %q", ErrHeader, b[:8])
	}
	version := binary.LittleEndian.Uint32(b[offVersion:])
	if swapped := bits.ReverseBytes32(version); version > 0xffff && swapped <= 0xffff {
		return fmt.Errorf("%w: big-endian", ErrUnsupported)
	}
	// With a 32-bit timeval all that follows lies 12 bytes earlier.
	if !saneBlock(binary.LittleEndian.Uint32(b[offBlockSize:])) &&
		saneBlock(binary.LittleEndian.Uint32(b[offBlockSize-12:])) {
		return fmt.Errorf("%w: dump of a 32-bit machine", ErrUnsupported)
	}
	if version < MinVersion || version > Version {
		return fmt.Errorf("%w: version %d, want %d to %d", ErrUnsupported, version, MinVersion, Version)
	}
	if n := binary.LittleEndian.Uint32(b[offBlockSize:]); !saneBlock(n) {
		return fmt.Errorf("%w: block size %d is not a power of two from %d to %d",
			ErrHeader, n, MinBlockSize, MaxBlockSize)
	}
	return nil
}

func saneBlock(n uint32) bool {
	return n >= MinBlockSize && n <= MaxBlockSize && n&(n-1) == 0
}

func parseUname(b []byte) Uname {
	var s [6]string
	for i := range s {
		f := b[i*unameLen:][:unameLen]
		if n := bytes.IndexByte(f, 0); n >= 0 {
			f = f[:n]
		}
		s[i] = string(f)
	}
	return Uname{s[0], s[1], s[2], s[3], s[4], s[5]}
}

// parseSub takes from the sub header what h.Version has there.
func (h *Header) parseSub(s []byte) {
	le := binary.LittleEndian
	span := func(off int) Span {
		return Span{int64(le.Uint64(s[off:])), int64(le.Uint64(s[off+8:]))}
	}
	h.PhysBase = int64(le.Uint64(s[subPhysBase:]))
	h.DumpLevel = int32(le.Uint32(s[subDumpLevel:]))
	h.Split = int32(le.Uint32(s[subSplit:]))
	h.StartPFN, h.EndPFN = le.Uint64(s[subStart:]), le.Uint64(s[subEnd:])
	h.VMCoreInfo = span(subVMCoreInfo)
	if h.Version >= 4 {
		h.Notes = span(subNotes)
	}
	if h.Version >= 5 {
		h.EraseInfo = span(subEraseInfo)
	}
	if h.Version >= 6 {
		h.StartPFN, h.EndPFN = le.Uint64(s[subStart64:]), le.Uint64(s[subEnd64:])
		h.MaxMapNr = le.Uint64(s[subMaxMapNr64:])
	}
}

func (h *Header) check(size int64) error {
	if h.MaxMapNr == 0 || h.MaxMapNr > MaxPFNs {
		return fmt.Errorf("%w: max_mapnr %d is not from 1 to %d", ErrHeader, h.MaxMapNr, int64(MaxPFNs))
	}
	if uint64(h.BitmapBlocks) < h.bitmapBlocksNeeded() {
		return fmt.Errorf("%w: bitmaps of %d blocks do not cover %d pages", ErrHeader, h.BitmapBlocks, h.MaxMapNr)
	}
	// 33 bits of blocks of at most 64 KiB: no overflow.
	if end := h.DescOffset(); end > size {
		return fmt.Errorf("%w: %d bytes, but headers and bitmaps alone take %d", ErrTruncated, size, end)
	}
	for _, p := range []struct {
		name string
		span *Span
		need bool
	}{
		{"VMCOREINFO", &h.VMCoreInfo, true},
		{"notes", &h.Notes, true},
		{"erase information", &h.EraseInfo, false},
	} {
		switch {
		case p.span.Size == 0 || p.span.Offset == 0:
			*p.span = Span{}
		case p.span.Size < 0 || p.span.Offset < 0 || p.span.Offset > size || p.span.Size > size-p.span.Offset:
			if !p.need { // it comes last, so that a cut file lost it; nobody needs it
				*p.span = Span{}
				continue
			}
			return fmt.Errorf("%w: %s at %d, %d bytes, in a file of %d",
				ErrHeader, p.name, p.span.Offset, p.span.Size, size)
		case p.need && p.span.Size > MaxNotes:
			return fmt.Errorf("%w: %s of %d bytes, at most %d are read", ErrHeader, p.name, p.span.Size, MaxNotes)
		}
	}
	return nil
}

// Check tells whether a reader can use the descriptor, in a file of size bytes
// with blocks of blockSize bytes. The error wraps [ErrDesc]. A descriptor with
// offset 0, a lost page, does not pass either.
func (d Desc) Check(blockSize uint32, size int64) error {
	const codecs = FlagZlib | FlagLZO | FlagSnappy | FlagZstd
	codec := d.Flags & codecs
	switch {
	case d.Offset == 0:
		return fmt.Errorf("%w: offset 0: the writer lost the page", ErrDesc)
	case d.Offset < 0 || d.Size == 0 || d.Offset > size || int64(d.Size) > size-d.Offset:
		return fmt.Errorf("%w: %d bytes at %d in a file of %d", ErrDesc, d.Size, d.Offset, size)
	case d.Flags&^codecs != 0 || codec&(codec-1) != 0:
		return fmt.Errorf("%w: flags %#x", ErrDesc, d.Flags)
	case d.Size > blockSize || codec == 0 && d.Size != blockSize:
		return fmt.Errorf("%w: %d bytes with flags %#x for a page of %d", ErrDesc, d.Size, d.Flags, blockSize)
	}
	return nil
}

// readAt reads all of p or tells what is missing.
func readAt(r io.ReaderAt, p []byte, off, size int64, what string) error {
	if off+int64(len(p)) > size {
		return fmt.Errorf("%w: %d bytes, and the %s ends at %d", ErrTruncated, size, what, off+int64(len(p)))
	}
	if n, err := r.ReadAt(p, off); n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read %s at %d: %w", what, off, err)
	}
	return nil
}
