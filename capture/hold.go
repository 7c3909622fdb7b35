package capture

import (
	"bytes"
	"fmt"

	"github.com/gokdump/gokdump/capture/target"
)

// holdSizes is the room held, in bytes, for the small files that are written
// last: a dump that fills the disk must not take it from them.
var holdSizes = []struct {
	name string
	size int
}{
	{ReportName, 64 << 10},
	{ReadmeName, 32 << 10},
	{CaptureLogName, 256 << 10},
}

// heldFile is a small file that was written in advance, with a text that says
// that the capture did not end, and gets its real text at the end.
type heldFile struct {
	target.File
	size int
}

// hold writes the small files in advance. Failing here costs nothing yet: the
// file is tried again at the end. Where files are written from front to back, what
// is there cannot be replaced, and so is not written in advance.
func (r *run) hold() {
	if target.IsSequential(r.dir) {
		return
	}
	for _, h := range holdSizes {
		if h.name == CaptureLogName && r.cfg.CaptureLog == nil {
			continue
		}
		f, err := r.dir.Create(h.name)
		if err != nil {
			r.warn("hold room for %s: %v", h.name, err)
			continue
		}
		text := fmt.Sprintf("The capture that started at %s did not end: nothing in this directory is complete\nunless its name says so by not ending in .incomplete.\n",
			r.rep.Started.Format("2006-01-02 15:04:05 UTC"))
		room := append([]byte(text), bytes.Repeat([]byte{'\n'}, h.size-len(text))...)
		if _, err = f.WriteAt(room, 0); err == nil {
			err = f.Sync()
		}
		if err != nil {
			r.warn("hold room for %s: %v", h.name, err)
		}
		r.held = append(r.held, &heldFile{File: f, size: h.size})
	}
}

// writeHeld gives a held file its real text, cut to the room that is held, and
// its name.
func (r *run) writeHeld(name string, text []byte) (int64, error) {
	for _, h := range r.held {
		if h.Name() != name+target.Incomplete && h.Name() != name {
			continue
		}
		if len(text) > h.size && name == CaptureLogName {
			text = text[len(text)-h.size:] // the end says why it failed
		}
		if _, err := h.WriteAt(text, 0); err != nil {
			return 0, err
		}
		if err := h.Truncate(int64(len(text))); err != nil {
			return 0, err
		}
		return int64(len(text)), h.Commit()
	}
	return int64(len(text)), target.Write(r.dir, name, text)
}
