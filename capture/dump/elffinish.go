package dump

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// Sizes of ELF64 structures, in bytes.
const (
	ehdrSize = 64
	phdrSize = 56
	shdrSize = 64
)

// pnXNum in e_phnum says that the number is in the first section header
// (PN_XNUM of include/uapi/linux/elf.h).
const pnXNum = 0xffff

// finish writes what comes before the pages: the header last, so that a file
// whose writer died is no core.
func (w *elfWriter) finish(src vmcore.Source, notes []byte) error {
	st := w.st
	st.LeftOut = st.Pages - st.Stored - min(st.Unreadable, st.Pages-st.Stored)
	if st.Partial = st.LeftOut > 0; st.Partial {
		st.Cause = w.stopped
	}
	st.Rest = Wave{Pages: st.Pages, Stored: st.Stored, Bytes: w.end - w.data}
	if st.Stored == 0 {
		return fmt.Errorf("dump: %w: %w", ErrNothing, nonNil(st.Cause, st.ReadError, fmt.Errorf("none was selected")))
	}
	st.Bytes = int64(w.end)
	if err := w.out.Truncate(st.Bytes); err != nil {
		return fmt.Errorf("dump: set the size of the file: %w", err)
	}
	head := w.headers(src.Machine(), len(notes))
	head = append(head, make([]byte, w.notesAt-uint64(len(head)))...)
	head = append(head, notes...)
	head = append(head, make([]byte, w.data-uint64(len(head)))...)
	if !writeOnly(w.out) {
		if _, err := w.out.WriteAt(head[ehdrSize:], ehdrSize); err != nil {
			return fmt.Errorf("dump: write program headers and notes: %w", err)
		}
		if err := flush(w.out); err != nil {
			return err
		}
		head = head[:ehdrSize]
	}
	if _, err := w.out.WriteAt(head, 0); err != nil {
		return fmt.Errorf("dump: write ELF header: %w", err)
	}
	return flush(w.out)
}

// headers gives the ELF header and the program headers, and one section header
// if there are too many of those to be counted otherwise.
func (w *elfWriter) headers(machine elf.Machine, notes int) []byte {
	segs := append(w.image(), w.segs...)
	n := uint64(len(segs) + 1)
	le := binary.LittleEndian
	h := make([]byte, ehdrSize, ehdrSize+n*phdrSize+shdrSize)
	copy(h, elf.ELFMAG)
	h[elf.EI_CLASS], h[elf.EI_DATA], h[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	le.PutUint16(h[16:], uint16(elf.ET_CORE))
	le.PutUint16(h[18:], uint16(machine))
	le.PutUint32(h[20:], uint32(elf.EV_CURRENT))
	le.PutUint64(h[32:], ehdrSize) // e_phoff: makedumpfile looks nowhere else
	if w.st.Partial {
		le.PutUint32(h[48:], 1) // e_flags: an incomplete core, as makedumpfile and crash have it
	}
	le.PutUint16(h[52:], ehdrSize)
	le.PutUint16(h[54:], phdrSize)
	le.PutUint16(h[56:], uint16(min(n, pnXNum)))
	if n >= pnXNum {
		le.PutUint64(h[40:], ehdrSize+n*phdrSize) // e_shoff
		le.PutUint16(h[58:], shdrSize)
		le.PutUint16(h[60:], 1)
	}
	put := func(typ elf.ProgType, flags elf.ProgFlag, s segment) {
		if s.filesz == 0 {
			s.off = 0
		}
		h = le.AppendUint32(h, uint32(typ))
		h = le.AppendUint32(h, uint32(flags))
		for _, v := range []uint64{s.off, s.addr, s.pa, s.filesz, s.memsz, 0} { // p_align 0, as the kernel has it
			h = le.AppendUint64(h, v)
		}
	}
	put(elf.PT_NOTE, 0, segment{off: w.notesAt, filesz: uint64(notes), memsz: uint64(notes)})
	for _, s := range segs {
		put(elf.PT_LOAD, elf.PF_R|elf.PF_W|elf.PF_X, s)
	}
	if n >= pnXNum {
		s := make([]byte, shdrSize)
		le.PutUint64(s[32:], 1)         // sh_size: the number of section headers
		le.PutUint32(s[44:], uint32(n)) // sh_info: that of program headers
		h = append(h, s...)
	}
	return h
}

// image gives the segments of the kernel's image, which lie in the same bytes of
// the file as those of RAM.
func (w *elfWriter) image() []segment {
	var all []segment
	for _, v := range w.opt.Views {
		if !v.Image {
			continue
		}
		for _, s := range w.segs {
			from, to := max(v.Start, s.pa), min(v.End, s.pa+s.memsz)
			if from >= to {
				continue
			}
			i := segment{pa: from, addr: v.Addr + (from - v.Start), memsz: to - from, off: s.off + (from - s.pa)}
			if have := s.pa + s.filesz; have > from {
				i.filesz = min(have, to) - from
			}
			all = append(all, i)
		}
	}
	return all
}
