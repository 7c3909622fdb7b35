package vmcore

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes of ELF64 structures, in bytes.
const (
	ehdrSize = 64
	phdrSize = 56
	shdrSize = 64
)

// pnXNum in e_phnum says that the number is in the first section header's
// sh_info (PN_XNUM of include/uapi/linux/elf.h).
const pnXNum = 0xffff

// maxPhdrs bounds the program headers. /proc/vmcore has hundreds at most; a
// filtered ELF file has one for each larger gap.
const maxPhdrs = 1 << 20

// maxPhys bounds physical addresses: 52 bits, the most that x86-64 and arm64
// have, so that pfn arithmetic and pfn sets stay within bounds.
const maxPhys = 1 << 52

// phdr is a program header, struct elf64_phdr.
type phdr struct {
	typ                              uint32
	off, vaddr, paddr, filesz, memsz uint64
}

type elfHeader struct {
	machine elf.Machine
	phoff   uint64
	phnum   uint64
}

// readELFHeader reads and checks the ELF header and where the program headers
// are, which need not be behind it: QEMU puts section headers first.
func readELFHeader(r io.ReaderAt, size int64) (*elfHeader, error) {
	var b [ehdrSize]byte
	if err := readFull(r, b[:], 0, size, "ELF header"); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	switch {
	case string(b[:4]) != elf.ELFMAG:
		return nil, fmt.Errorf("%w: no ELF signature", ErrNotCore)
	case elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64:
		return nil, fmt.Errorf("ELF core of a 32-bit kernel (%v): only 64-bit is supported", elf.Class(b[elf.EI_CLASS]))
	case elf.Data(b[elf.EI_DATA]) != elf.ELFDATA2LSB:
		return nil, fmt.Errorf("ELF core of a big-endian machine (%v): only little-endian is supported", elf.Data(b[elf.EI_DATA]))
	}
	if typ := elf.Type(le.Uint16(b[16:])); typ != elf.ET_CORE {
		return nil, fmt.Errorf("%w: ELF file of type %v, want ET_CORE (a vmlinux is not a core)", ErrNotCore, typ)
	}
	h := &elfHeader{
		machine: elf.Machine(le.Uint16(b[18:])),
		phoff:   le.Uint64(b[32:]),
		phnum:   uint64(le.Uint16(b[56:])),
	}
	if n := le.Uint16(b[54:]); n != phdrSize && h.phnum != 0 {
		return nil, fmt.Errorf("ELF header: program headers of %d bytes, want %d", n, phdrSize)
	}
	if h.phnum == pnXNum {
		shoff := le.Uint64(b[40:])
		var s [shdrSize]byte
		if shoff == 0 || shoff > uint64(size) {
			return nil, fmt.Errorf("ELF header: section header for the number of program headers at %#x in a file of %d bytes", shoff, size)
		}
		if err := readFull(r, s[:], int64(shoff), size, "first section header"); err != nil {
			return nil, err
		}
		h.phnum = uint64(le.Uint32(s[44:]))
	}
	switch {
	case h.phnum == 0:
		return nil, errors.New("ELF core has no program headers: perhaps one of `xl dump-core`, which is not supported")
	case h.phnum > maxPhdrs:
		return nil, fmt.Errorf("ELF header: %d program headers, at most %d are read", h.phnum, maxPhdrs)
	case h.phoff > uint64(size) || h.phnum*phdrSize > uint64(size)-h.phoff:
		return nil, fmt.Errorf("%w: %d program headers at %#x in a file of %d bytes", ErrTruncated, h.phnum, h.phoff, size)
	}
	return h, nil
}

// eachPhdr calls f with every program header, in order.
func (h *elfHeader) eachPhdr(r io.ReaderAt, size int64, f func(i int, p *phdr) error) error {
	buf := make([]byte, min(h.phnum, 1024)*phdrSize)
	for i := uint64(0); i < h.phnum; {
		b := buf[:min(h.phnum-i, 1024)*phdrSize]
		if err := readFull(r, b, int64(h.phoff+i*phdrSize), size, "program headers"); err != nil {
			return err
		}
		for ; len(b) > 0; b, i = b[phdrSize:], i+1 {
			le := binary.LittleEndian
			p := phdr{
				typ:    le.Uint32(b),
				off:    le.Uint64(b[8:]),
				vaddr:  le.Uint64(b[16:]),
				paddr:  le.Uint64(b[24:]),
				filesz: le.Uint64(b[32:]),
				memsz:  le.Uint64(b[40:]),
			}
			if err := f(int(i), &p); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFull reads all of p at off, or tells what is missing.
func readFull(r io.ReaderAt, p []byte, off, size int64, what string) error {
	if off > size || int64(len(p)) > size-off {
		return fmt.Errorf("%w: %s at %#x, %d bytes, in a file of %d", ErrTruncated, what, off, len(p), size)
	}
	if n, err := r.ReadAt(p, off); n < len(p) {
		return fmt.Errorf("read %s at %#x: %w", what, off, shortRead(err))
	}
	return nil
}

// shortRead is the error of a read that gave fewer bytes than it should.
func shortRead(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
