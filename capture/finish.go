package capture

import (
	"errors"
	"maps"
	"slices"

	"github.com/gokdump/gokdump/capture/target"
)

// finish writes what is said about the capture. README.txt comes before
// report.json, whose presence then means that the capture ended.
func (r *run) finish() {
	r.step = "write report"
	r.rep.Finished = r.now().UTC()
	if r.dir == nil {
		return
	}
	if w, ok := r.dir.(target.Warner); ok {
		for _, text := range w.Warnings() {
			r.warn("target: %s", text)
		}
	}
	var errs []error
	if r.cfg.CaptureLog != nil {
		errs = append(errs, r.put(CaptureLogName, r.cfg.CaptureLog()))
	}
	errs = append(errs, r.put(ReadmeName, []byte(readme(r.rep))))
	doc, err := r.rep.JSON()
	if err == nil {
		err = r.put(ReportName, doc)
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		// The dump may be whole all the same, but whoever looks for the
		// report must not wait for it.
		r.rep.fail(r.step, err)
		r.say("failed: %v", err)
	}
}

func (r *run) put(name string, text []byte) error {
	var n int64
	err := protect(func() (err error) { n, err = r.writeHeld(name, text); return err })
	if err != nil {
		return err
	}
	r.rep.Files = append(r.rep.Files, File{Name: name, Bytes: n})
	return nil
}

func sortedKeys(m map[string]uint64) []string { return slices.Sorted(maps.Keys(m)) }
