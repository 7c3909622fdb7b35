package dump

import (
	"bytes"
	"encoding/binary"

	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// note is one note of a PT_NOTE segment; off is where its descriptor starts in
// the segment.
type note struct {
	name string
	typ  uint32
	desc []byte
	off  int
}

const ntPRStatus = 1 // NT_PRSTATUS of include/uapi/linux/elf.h

// nextNote splits the first note off b, which starts at off in the segment.
// ok is false at the end and at a note that does not fit.
func nextNote(b []byte, off int) (n note, end int, ok bool) {
	if len(b)-off < 12 {
		return note{}, off, false
	}
	le := binary.LittleEndian
	nameLen, descLen := uint64(le.Uint32(b[off:])), uint64(le.Uint32(b[off+4:]))
	start := uint64(off) + 12
	desc := start + (nameLen+3)&^3
	if last := desc + descLen; last > uint64(len(b)) {
		return note{}, off, false
	}
	n = note{
		name: string(bytes.TrimRight(b[start:start+nameLen], "\x00")),
		typ:  le.Uint32(b[off+8:]),
		desc: b[desc : desc+descLen],
		off:  int(desc),
	}
	return n, int(min((desc+descLen+3)&^3, uint64(len(b)))), true
}

// layNotes gives the notes as they go into the file, the place of the VMCOREINFO
// text in them, and the number of CPUs that have registers. Readers differ in
// where they look for VMCOREINFO: crash takes the place that the header gives,
// libkdumpfile searches the notes. So the text is there once, in the notes; a
// core whose notes lack it gets one more note.
func layNotes(notes, info []byte) (out []byte, text kdumpfmt.Span, cpus int) {
	var off int
	for {
		n, end, ok := nextNote(notes, off)
		if !ok {
			break
		}
		switch {
		case n.name == "CORE" && n.typ == ntPRStatus:
			cpus++
		case n.name == "VMCOREINFO" && text.Size == 0:
			text = kdumpfmt.Span{Offset: int64(n.off), Size: int64(len(n.desc))}
		}
		off = end
	}
	if text.Size != 0 || len(info) == 0 {
		return notes, text, cpus
	}
	out = append(bytes.Clone(notes[:off]), make([]byte, -off&3)...) // without a tail that is no note
	const name = "VMCOREINFO\x00\x00"
	out = binary.LittleEndian.AppendUint32(out, uint32(len("VMCOREINFO")+1))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(info)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = append(out, name...)
	text = kdumpfmt.Span{Offset: int64(len(out)), Size: int64(len(info))}
	out = append(out, info...)
	return append(out, make([]byte, -len(out)&3)...), text, cpus
}
