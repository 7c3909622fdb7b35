package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// maxGiven bounds the file that a user gives, in bytes.
const maxGiven = 1 << 20

// readGiven reads a VMCOREINFO from a file: the text alone, or inside its note.
func readGiven(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("VMCOREINFO: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxGiven+1))
	if err != nil {
		return nil, fmt.Errorf("VMCOREINFO: %w", err)
	}
	if len(b) > maxGiven {
		return nil, fmt.Errorf("VMCOREINFO of %s: more than %d bytes: not such a file", path, maxGiven)
	}
	text := b
	for n := range vmcore.EachNote(b) {
		if n.Name == vmcore.VMCoreInfoName && n.Type == vmcore.NoteVMCoreInfo {
			text = n.Desc
		}
	}
	text = bytes.TrimRight(text, "\x00")
	if _, err := kernel.ParseInfo(text); err != nil {
		if isSysfs(text) {
			err = errors.New("that is where the note was in memory, as /sys/kernel/vmcoreinfo says, not the note")
		}
		return nil, fmt.Errorf("VMCOREINFO of %s: %w", path, err)
	}
	return text, nil
}

// isSysfs tells what /sys/kernel/vmcoreinfo says: an address and a size in hex.
func isSysfs(text []byte) bool {
	var pa, size uint64
	n, err := fmt.Sscanf(string(text[:min(len(text), 64)]), "0x%x %x", &pa, &size)
	if n == 1 {
		n, err = fmt.Sscanf(string(text[:min(len(text), 64)]), "%x %x", &pa, &size)
	}
	return n == 2 && err == nil && len(bytes.Fields(text)) == 2
}

// withInfo gives the notes with one VMCOREINFO note, the last, in place of any
// they had.
func withInfo(notes, text []byte) []byte {
	var out []byte
	for n := range vmcore.EachNote(notes) {
		if n.Name != vmcore.VMCoreInfoName {
			out = vmcore.AppendNote(out, n)
		}
	}
	return vmcore.AppendNote(out, vmcore.Note{Name: vmcore.VMCoreInfoName, Type: vmcore.NoteVMCoreInfo, Desc: text})
}
