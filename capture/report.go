package capture

import (
	"encoding/json"
	"time"
)

// ReportVersion is the version of report.json. It changes when a field changes
// its meaning, not when one is added.
const ReportVersion = 1

// Result is what a capture came to.
type Result string

// The results. A dump is complete only when it was written, read back, synced
// and renamed; partial when it opens but lacks pages that should be in it. It is
// log-only when the rule against crash loops said so, and the log was saved.
const (
	Complete Result = "complete"
	Partial  Result = "partial"
	LogOnly  Result = "log-only"
	Failed   Result = "failed"
)

// Report is what happened, for machines: report.json. Times are UTC, durations
// are seconds, sizes are bytes.
type Report struct {
	Version int `json:"version"`
	// Result is about the dump; the log's own fate is in Steps and Files.
	Result Result `json:"result"`
	// Loop is why only the log was saved.
	Loop string `json:"crash_loop,omitempty"`
	// FailedStep and Error name the first thing that went wrong; empty when
	// the result is complete.
	FailedStep string `json:"failed_step,omitempty"`
	Error      string `json:"error,omitempty"`

	Host      string    `json:"host"`
	Kernel    string    `json:"kernel,omitempty"`         // uname -r of the crashed kernel
	Build     string    `json:"kernel_version,omitempty"` // uname -v of the crashed kernel
	BuildID   string    `json:"build_id,omitempty"`       // of vmlinux; from VMCOREINFO
	Machine   string    `json:"machine,omitempty"`        // uname -m
	Panic     string    `json:"panic,omitempty"`          // the log's line that says why
	CrashTime time.Time `json:"crash_time"`               // from VMCOREINFO; else when the capture started
	Uptime    float64   `json:"uptime,omitempty"`         // of the crashed kernel: the last time in its log
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished"`

	Target string `json:"target"`
	Dir    string `json:"dir"` // the dump's directory inside the target

	Level   int               `json:"level"`
	Codec   string            `json:"codec"`
	Workers int               `json:"workers,omitempty"`
	Pages   map[string]uint64 `json:"pages,omitempty"` // by class; see capture/filter
	// RAMPages is all RAM; StoredPages is what the dump holds; LeftOutPages
	// should be in it and is not.
	RAMPages        uint64 `json:"ram_pages,omitempty"`
	StoredPages     uint64 `json:"stored_pages,omitempty"`
	LeftOutPages    uint64 `json:"left_out_pages,omitempty"`
	UnreadablePages uint64 `json:"unreadable_pages,omitempty"`
	PageSize        uint64 `json:"page_size,omitempty"`
	// VerifiedPages were read back and decoded after writing. Where nothing can
	// be read back, Proof says what confirms that the target has what was
	// written.
	VerifiedPages uint64 `json:"verified_pages,omitempty"`
	Proof         string `json:"proof,omitempty"`
	CPUs          int    `json:"cpus,omitempty"` // with registers in the dump

	// Encrypted: the dump and the log can be read with a private key only.
	Encrypted bool   `json:"encrypted,omitempty"`
	Files     []File `json:"files"`
	// Removed are the directories of old dumps that were removed.
	Removed  []string `json:"removed,omitempty"`
	Steps    []Step   `json:"steps"`
	Warnings []string `json:"warnings,omitempty"`
}

// File is one file that the capture wrote.
type File struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Step is one step of the capture, in the order they were done.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
}

// JSON gives the document, indented, with a final newline.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// FileNamed finds a written file by its name.
func (r *Report) FileNamed(name string) (File, bool) {
	for _, f := range r.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// fail notes the first thing that went wrong.
func (r *Report) fail(step string, err error) {
	if r.Error == "" {
		r.FailedStep, r.Error = step, err.Error()
	}
}
