package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

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
	f := strings.Fields(string(text[:min(len(text), 64)]))
	if len(f) != 2 {
		return false
	}
	_, err1 := strconv.ParseUint(strings.TrimPrefix(f[0], "0x"), 16, 64)
	_, err2 := strconv.ParseUint(f[1], 16, 64)
	return err1 == nil && err2 == nil
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
