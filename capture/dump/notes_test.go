package dump

import (
	"bytes"
	"testing"

	"github.com/gokdump/gokdump/capture/vmcore"
)

func TestLayNotes(t *testing.T) {
	info := []byte("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
	regs := appendNote(nil, "CORE", vmcore.NotePRStatus, make([]byte, 336))
	with := appendNote(append(bytes.Clone(regs), regs...), "VMCOREINFO", vmcore.NoteVMCoreInfo, info)
	for _, tt := range []struct {
		name        string
		notes, info []byte
		kept        bool // the notes go into the file as they are
		cpus        int
		text        []byte
	}{
		{"whole", with, info, true, 2, info},
		{"none", nil, info, false, 0, info},
		{"no text at all", regs, nil, true, 1, nil},
		{"without", regs, info, false, 1, info},
		{"cut", with[:len(with)-30], info, false, 2, info},
		{"junk", append(bytes.Clone(regs), "junk that is no note at all"...), info, false, 1, info},
		{"empty descriptor", appendNote(bytes.Clone(regs), "VMCOREINFO", 0, nil), info, false, 1, info},
	} {
		out, text, cpus := layNotes(tt.notes, tt.info)
		if got := out[text.Offset:][:text.Size]; !bytes.Equal(got, tt.text) || cpus != tt.cpus || bytes.Equal(out, tt.notes) != tt.kept {
			t.Errorf("%s: %d CPUs, text %q, notes kept: %v", tt.name, cpus, got, bytes.Equal(out, tt.notes))
		}
		if !bytes.HasSuffix(out, tt.notes) {
			t.Errorf("%s: the core's own notes are gone", tt.name)
		}
	}
}

func FuzzLayNotes(f *testing.F) {
	info := []byte("OSRELEASE=6.1.0\n")
	f.Add([]byte(nil), info)
	f.Add(appendNote(nil, "VMCOREINFO", 0, info), info)
	f.Add(appendNote(appendNote(nil, "CORE", 1, make([]byte, 336)), "QEMU", 0, make([]byte, 440)), info)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00CORE"), info)
	f.Fuzz(func(t *testing.T, notes, info []byte) {
		out, text, _ := layNotes(notes, info)
		if text.Offset < 0 || text.Size < 0 || text.Offset+text.Size > int64(len(out)) {
			t.Fatalf("text %+v in notes of %d bytes", text, len(out))
		}
		if text.Size == 0 {
			if len(info) > 0 {
				t.Fatal("the text is lost")
			}
			return
		}
		// Whoever searches the notes finds the same as who follows the header.
		for n := range vmcore.EachNote(out) {
			if n.Name == "VMCOREINFO" && n.Type == vmcore.NoteVMCoreInfo && len(n.Desc) > 0 {
				if !bytes.Equal(n.Desc, out[text.Offset:][:text.Size]) {
					t.Fatalf("the notes say %q, the header points at %q", n.Desc, out[text.Offset:][:text.Size])
				}
				return
			}
		}
		t.Fatal("no VMCOREINFO in the notes")
	})
}
