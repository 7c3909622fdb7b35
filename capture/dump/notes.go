package dump

import (
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
		case n.Name == vmcore.VMCoreInfoName && n.Type == vmcore.NoteVMCoreInfo && len(n.Desc) > 0 && text.Size == 0:
			text = kdumpfmt.Span{Offset: offset(notes, n.Desc), Size: int64(len(n.Desc))}
		}
	}
	if text.Size != 0 || len(info) == 0 {
		return notes, text, cpus
	}
	note := vmcore.Note{Name: vmcore.VMCoreInfoName, Type: vmcore.NoteVMCoreInfo}
	text = kdumpfmt.Span{Offset: int64(len(vmcore.AppendNote(nil, note))), Size: int64(len(info))}
	note.Desc = info
	out = vmcore.AppendNote(nil, note)
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
