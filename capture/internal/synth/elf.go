package synth

import (
	"debug/elf"
	"encoding/binary"
)

// ELF is the core file that /proc/vmcore would show: the header, PT_NOTE, the
// alias of the kernel image first, then one PT_LOAD for each RAM range at its
// direct-map address. p_align is 0 as the kernel writes it.
func (m *Machine) ELF() []byte {
	notes := m.notes()
	type load struct {
		va uint64
		r  Range
	}
	var loads []load
	if !m.Opt.NoImageAlias {
		loads = append(loads, load{m.ImageVA(m.Image.Start), m.Image})
	}
	for _, r := range m.Opt.RAM {
		loads = append(loads, load{m.PageOffset() + r.Start, r})
	}
	nph := uint64(len(loads) + 1)
	noteAt := 64 + 56*nph
	at := (noteAt + uint64(len(notes)) + PageSize - 1) &^ (PageSize - 1)

	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(h[16:], uint16(elf.ET_CORE))
	le.PutUint16(h[18:], uint16(elf.EM_X86_64))
	le.PutUint32(h[20:], 1)
	le.PutUint64(h[32:], 64) // e_phoff
	le.PutUint16(h[52:], 64)
	le.PutUint16(h[54:], 56)
	le.PutUint16(h[56:], uint16(nph))
	phdr := func(typ, off, va, pa, size uint64) {
		h = le.AppendUint32(h, uint32(typ))
		h = le.AppendUint32(h, 7*uint32(typ&1))
		for _, v := range []uint64{off, va, pa, size, size, 0} {
			h = le.AppendUint64(h, v)
		}
	}
	phdr(uint64(elf.PT_NOTE), noteAt, 0, 0, uint64(len(notes)))
	end := at
	for _, l := range loads {
		// as in /proc/vmcore, data keeps its offset inside a page
		end = (end+PageSize-1)&^(PageSize-1) + l.r.Start%PageSize
		phdr(uint64(elf.PT_LOAD), end, l.va, l.r.Start, l.r.End-l.r.Start)
		end += l.r.End - l.r.Start
	}
	out := make([]byte, end)
	copy(out, h)
	copy(out[noteAt:], notes)
	end = at
	for _, l := range loads {
		end = (end+PageSize-1)&^(PageSize-1) + l.r.Start%PageSize
		n := l.r.End - l.r.Start
		if err := m.ReadPhys(out[end:end+n], l.r.Start); err != nil {
			panic(err)
		}
		end += n
	}
	return out
}
