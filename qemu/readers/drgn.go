package readers

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

//go:embed inspect.py
var inspect string

// Findings are what drgn reads out of a dump.
type Findings struct {
	// Release is the crashed kernel's uname -r.
	Release string `json:"release"`
	// CrashedTID and CrashedComm are the task that panicked; 0 and empty in a dump
	// of a machine that runs.
	CrashedTID  int    `json:"crashed_tid"`
	CrashedComm string `json:"crashed_comm"`
	// Frames are the function names of its backtrace, innermost first; empty
	// where a frame has none.
	Frames []string `json:"frames"`
	// Trace is the backtrace for a person.
	Trace string `json:"trace"`
	// Running are the function names of each CPU's backtrace, by the registers in
	// the dump; nil from drgn before 0.0.23.
	Running [][]string `json:"running"`
	// Tasks are all threads but the idle ones: id to name.
	Tasks map[string]string `json:"tasks"`
	// Modules are the loaded modules.
	Modules []string `json:"modules"`
	// FiveLevel tells whether the kernel ran with five-level page tables.
	FiveLevel bool `json:"five_level"`
	// Dmesg is the kernel log.
	Dmesg string `json:"dmesg"`
}

// Drgn opens a dump in the machine's own drgn.
func Drgn(ctx context.Context, vmlinux, core string) (*Findings, error) {
	return (&Readers{}).drgn(ctx, vmlinux, core)
}

// ErrNoNewer says that there is no newer reader than the machine's own.
var ErrNoNewer = errors.New("readers: no newer Debian release in use")

// NewerDrgn opens a dump in the newer Debian release's drgn; [ErrNoNewer] where
// the machine's own readers are new enough.
func (r *Readers) NewerDrgn(ctx context.Context, vmlinux, core string) (*Findings, error) {
	if r.root == "" {
		return nil, ErrNoNewer
	}
	return r.drgn(ctx, vmlinux, core)
}

func (r *Readers) drgn(ctx context.Context, vmlinux, core string) (*Findings, error) {
	script, err := os.CreateTemp("", "gokdump-drgn-*.py")
	if err != nil {
		return nil, fmt.Errorf("readers: %w", err)
	}
	defer os.Remove(script.Name())
	_, err = script.WriteString(inspect)
	if err = errors.Join(err, script.Close()); err != nil {
		return nil, fmt.Errorf("readers: %w", err)
	}
	out, err := r.run(ctx, []string{vmlinux, core, script.Name()}, "drgn", "-q", "-s", "@0", "-c", "@1", "@2")
	if err != nil {
		return nil, err
	}
	var f Findings
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		return nil, fmt.Errorf("readers: drgn's findings: %w: %.500q", err, out)
	}
	return &f, nil
}
