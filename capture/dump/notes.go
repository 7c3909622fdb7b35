package dump

import (
	"encoding/binary"

	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// layNotes gives the notes as they go into the file, the place of the VMCOREINFO
// text in them, and the number of CPUs that have registers. Readers differ in
// where they look for VMCOREINFO: crash takes the place that the header gives,
// libkdumpfile searches the notes. So the text is there once, in the notes; a
// core whose notes lack it gets one more note, before the others since what
// follows the last good note may be anything.
func layNotes(notes, info []byte) (out []byte, text kdumpfmt.Span, cpus int) {
	for n := range vmcore.EachNote(notes) {
		switch {
		case n.Name == "CORE" && n.Type == vmcore.NotePRStatus:
			cpus++
		case n.Name == "VMCOREINFO" && n.Type == vmcore.NoteVMCoreInfo && len(n.Desc) > 0 && text.Size == 0:
			text = kdumpfmt.Span{Offset: offset(notes, n.Desc), Size: int64(len(n.Desc))}
		}
	}
	if text.Size != 0 || len(info) == 0 {
		return notes, text, cpus
	}
	const name = "VMCOREINFO\x00"
	out = binary.LittleEndian.AppendUint32(out, uint32(len(name)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(info)))
	out = binary.LittleEndian.AppendUint32(out, vmcore.NoteVMCoreInfo)
	out = append(out, name...)
	out = append(out, make([]byte, -len(out)&3)...)
	text = kdumpfmt.Span{Offset: int64(len(out)), Size: int64(len(info))}
	out = append(out, info...)
	out = append(out, make([]byte, -len(out)&3)...)
	return append(out, notes...), text, cpus
}

// offset is where part, which is not empty, lies in whole.
func offset(whole, part []byte) int64 {
	for i := range whole {
		if &whole[i] == &part[0] {
			return int64(i)
		}
	}
	panic("dump: a note outside the notes")
}
