package dump

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// pnXNum in e_phnum says that the number is in the first section header
// (PN_XNUM of include/uapi/linux/elf.h).
const pnXNum = 0xffff

// start makes room for what comes before the pages. A stream gets it at once, and
// all that lies between segments, since what is in no record is missing there.
func (w *elfWriter) start(machine elf.Machine) error {
	if err := makeRoom(w.out, Layout{Data: int64(w.data)}); err != nil || !writeOnly(w.out) {
		return err
	}
	if _, err := w.out.WriteAt(w.front(machine, w.segs), 0); err != nil {
		return fmt.Errorf("dump: write headers: %w", err)
	}
	at := w.data
	order := slices.Clone(w.segs)
	sort.Slice(order, func(i, j int) bool { return order[i].off < order[j].off })
	for _, s := range order {
		if s.filesz > 0 {
			if err := writeZeros(w.out, int64(at), int64(s.off)); err != nil {
				return fmt.Errorf("dump: write zeros: %w", err)
			}
			at = s.off + s.filesz
		}
	}
	return nil
}

// finish writes what comes before the pages: the header last, so that a file
// whose writer died is no core.
func (w *elfWriter) finish(machine elf.Machine) error {
	w.count()
	st := w.st
	if st.Stored == 0 {
		return fmt.Errorf("dump: %w: %w", ErrNothing, nonNil(st.Cause, st.ReadError, errors.New("none was selected")))
	}
	segs := w.there()
	if writeOnly(w.out) {
		if w.left.Len() > 0 {
			if _, err := w.out.WriteAt(w.front(machine, segs), 0); err != nil {
				return fmt.Errorf("dump: write headers: %w", err)
			}
		}
		return flush(w.out)
	}
	w.end = w.data
	for _, s := range segs {
		if s.filesz > 0 {
			w.end = max(w.end, s.off+s.filesz)
		}
	}
	st.Bytes = int64(w.end)
	if err := w.out.Truncate(st.Bytes); err != nil {
		return fmt.Errorf("dump: set the size of the file: %w", err)
	}
	front := w.front(machine, segs)
	if _, err := w.out.WriteAt(front[ehdrSize:], ehdrSize); err != nil {
		return fmt.Errorf("dump: write program headers and notes: %w", err)
	}
	if err := flush(w.out); err != nil {
		return err
	}
	if _, err := w.out.WriteAt(front[:ehdrSize], 0); err != nil {
		return fmt.Errorf("dump: write ELF header: %w", err)
	}
	return flush(w.out)
}

// count fills in what became of the pages.
func (w *elfWriter) count() {
	st := w.st
	st.Stored = st.Zero + st.Raw
	st.LeftOut = st.Pages - st.Stored - min(st.Unreadable, st.Pages-st.Stored)
	if st.Partial = st.LeftOut > 0; st.Partial {
		st.Cause = w.stopped
	}
	if w.first != nil {
		missing := w.left.Both(w.first).Len() // what cannot be read is not the waves' matter
		st.First = Wave{Pages: w.first.Len(), Stored: w.first.Len() - missing}
	}
	st.Rest = Wave{Pages: st.Pages - st.First.Pages, Stored: st.Stored - min(st.First.Stored, st.Stored), Bytes: st.Raw * w.size}
	st.Bytes = int64(w.end)
}

// front is the bytes of the file up to the pages.
func (w *elfWriter) front(machine elf.Machine, segs []segment) []byte {
	b := w.headers(machine, segs)
	b = append(b, make([]byte, w.noteAt-uint64(len(b)))...)
	b = append(b, w.notes...)
	return append(b, make([]byte, w.data-uint64(len(b)))...)
}

// headers gives the ELF header and the program headers, and one section header
// if there are too many of those to be counted otherwise.
func (w *elfWriter) headers(machine elf.Machine, segs []segment) []byte {
	segs = append(w.image(segs), segs...)
	notes := uint64(len(w.notes))
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
	put(elf.PT_NOTE, 0, segment{off: w.noteAt, filesz: notes, memsz: notes})
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
