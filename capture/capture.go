// Package capture is the order of a capture: the log first and on its own, then
// the dump, then the report. The crash kernel's init runs it; the same parts
// serve kdump-vmcore on any machine.
//
// The package owns the order, the names of the files and what is said about
// them. It never mounts, loads modules or reboots (initramfs/boot does), and
// never decides what a page is (capture/filter does).
package capture

import (
	"context"
	"time"

	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
)

// The files of one crash, in its directory.
const (
	DumpName       = "vmcore"
	PartialName    = "vmcore-partial"
	LogName        = "vmcore-dmesg.txt"
	ReportName     = "report.json"
	ReadmeName     = "README.txt"
	CaptureLogName = "capture.log"

	// Where files can be written from front to back only, the dump is a flattened
	// stream; makedumpfile's users know this name.
	FlatName        = "vmcore.flat"
	PartialFlatName = "vmcore-partial.flat"
)

// EncryptedSuffix follows the names of the dump and the log where they are
// encrypted.
const EncryptedSuffix = ".age"

// Config is what a capture needs.
type Config struct {
	// Core is the path of the core: /proc/vmcore.
	Core string
	// Target takes the files. With nil, the end of the crashed kernel's log
	// is given to Event and nothing is written.
	Target target.Target
	// TargetName names Target in the report; empty means its own name. Where it
	// is mounted in the crash kernel tells nobody anything later.
	TargetName string
	// Plan says what is kept; only its Host and Dump are looked at.
	Plan *plan.Plan
	// Warnings are put at the head of the report's: what went wrong before.
	Warnings []string
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
	// Event, if not nil, hears of steps and progress, from one goroutine at a
	// time.
	Event func(Event)
	// LastLog, if not nil, is given the end of the crashed kernel's log, whole lines,
	// some tens of KiB at most, where it is given to Event for want of a Target.
	LastLog func(text []byte)
	// Encrypt, if not nil, makes a directory of the target one whose files only
	// some can read. The dump and the crashed kernel's log go there. Without it
	// they would be readable, so an error of it means that neither is saved. The
	// report is not encrypted: it has the panic's line and no other text of the
	// crashed kernel's memory.
	Encrypt func(target.Target) (target.Target, error)
	// Guard is the rule against crash loops, Keep the one for old dumps. Both
	// need a target that is a target.Past; with another, Keep is warned of. Where Keep leaves fewer dumps than
	// Guard asks for, so many are enough for it.
	Guard past.Guard
	Keep  past.Keep
	// CaptureLog, if not nil, is asked at the end for the text of capture.log.
	CaptureLog func() []byte
}

// Event is something to tell a person who watches.
type Event struct {
	// Step is the step under way, as in the report.
	Step string
	// Message is one line; empty for an event that only brings Progress.
	Message string
	// Progress, if not nil, is how far the step is.
	Progress *Progress
}

// Progress is how far a step is.
type Progress struct {
	Done, Total uint64 // pages
	BytesIn     uint64 // read from memory
	BytesOut    uint64 // written to the target
	Elapsed     time.Duration
}

// Run carries out a capture. The report is never nil. The error is not nil when
// the dump is not whole: it names the first step that failed. When ctx ends,
// the dump is finished with what it has, as a partial one, and the report is
// still written; so a caller that needs Run to return must also bound it from
// outside.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	return newRun(cfg).do(ctx)
}
