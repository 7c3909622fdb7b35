package vmcore

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"iter"
)

// Note is one note of a PT_NOTE segment.
type Note struct {
	// Name without its end mark: "CORE", "VMCOREINFO", "QEMU", "LINUX".
	Name string
	Type uint32
	// Desc aliases the segment.
	Desc []byte
}

// Types of notes: NT_PRSTATUS of include/uapi/linux/elf.h, and the VMCOREINFO
// note's type, as kernel/vmcore_info.c writes it.
const (
	NotePRStatus   = 1
	NoteVMCoreInfo = 0
)

// VMCoreInfoName is the name of the VMCOREINFO note (include/linux/vmcore_info.h).
const VMCoreInfoName = "VMCOREINFO"

// EachNote walks the notes of a PT_NOTE segment, names and descriptions padded
// to 4 bytes. It ends at the first note that does not lie inside the segment,
// or is all zeros: padding behind the last one.
func EachNote(segment []byte) iter.Seq[Note] {
	return func(yield func(Note) bool) {
		const header = 12
		b := segment
		for len(b) >= header {
			name, desc := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
			typ := binary.LittleEndian.Uint32(b[8:])
			b = b[header:]
			n, d := pad4(name), pad4(desc)
			// The last description may lack its padding.
			if name == 0 && desc == 0 || n > uint64(len(b)) || uint64(desc) > uint64(len(b))-n {
				return
			}
			note := Note{
				Name: string(bytes.TrimRight(b[:name], "\x00")),
				Type: typ,
				Desc: b[n:][:desc:desc],
			}
			if !yield(note) {
				return
			}
			b = b[min(n+d, uint64(len(b))):]
		}
	}
}

// AppendNote appends a note to a PT_NOTE segment, padded to 4 bytes, and gives
// the segment back. The segment must end where a note may begin.
func AppendNote(segment []byte, n Note) []byte {
	segment = binary.LittleEndian.AppendUint32(segment, uint32(len(n.Name)+1))
	segment = binary.LittleEndian.AppendUint32(segment, uint32(len(n.Desc)))
	segment = binary.LittleEndian.AppendUint32(segment, n.Type)
	segment = append(append(segment, n.Name...), 0)
	segment = append(segment, make([]byte, -(len(n.Name)+1)&3)...)
	segment = append(segment, n.Desc...)
	return append(segment, make([]byte, -len(n.Desc)&3)...)
}

func pad4(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }

// findVMCoreInfo gives the text of the VMCOREINFO note, or nil.
func findVMCoreInfo(notes []byte) []byte {
	for n := range EachNote(notes) {
		if n.Name == VMCoreInfoName && n.Type == NoteVMCoreInfo {
			return bytes.TrimRight(n.Desc, "\x00")
		}
	}
	return nil
}

// machineOfNotes tells the architecture by the size of struct elf_prstatus,
// for files that do not say it elsewhere; EM_NONE when unsure.
func machineOfNotes(notes []byte) elf.Machine {
	for n := range EachNote(notes) {
		if n.Name == "CORE" && n.Type == NotePRStatus {
			switch len(n.Desc) {
			case 336:
				return elf.EM_X86_64
			case 392:
				return elf.EM_AARCH64
			}
		}
	}
	return elf.EM_NONE
}

// pageSizeOf gives the value of VMCOREINFO's PAGESIZE line; 0 when there is no
// such line, or none that can be true.
func pageSizeOf(info []byte) uint64 {
	for line := range bytes.Lines(info) {
		v, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("PAGESIZE="))
		if !ok || len(v) == 0 || len(v) > 6 {
			continue
		}
		var n uint64
		for _, c := range v {
			if c < '0' || c > '9' {
				return 0
			}
			n = n*10 + uint64(c-'0')
		}
		if n >= minPageSize && n <= maxPageSize && n&(n-1) == 0 {
			return n
		}
		return 0
	}
	return 0
}

// Page sizes of Linux on 64-bit machines, in bytes.
const (
	minPageSize = 4 << 10
	maxPageSize = 64 << 10
)
