package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gokdump/gokdump/capture"
)

// state is what was measured so far. It is stored after each machine, so that a
// comparison can be made in pieces.
type state struct {
	Commit string             `json:"commit"`
	Memory int                `json:"memory_mib"`
	Runs   map[string][]crash `json:"runs"` // by subject
	Floors map[string]*floor  `json:"floors"`

	path string
}

// crash is one machine's. Times are from its panic, in seconds.
type crash struct {
	Kernel float64 `json:"kernel,omitempty"` // until the crash kernel ran
	Init   float64 `json:"init,omitempty"`   // until /init of the image ran
	Reset  float64 `json:"reset"`
	Image  int64   `json:"image_bytes,omitempty"`
	Dump   int64   `json:"dump_bytes"`
	// Steps are the capture's own, where it tells.
	Steps []capture.Step `json:"steps,omitempty"`
}

// floor is what is known of the smallest crashkernel=, in MiB: with Low no dump was
// saved, with High one was.
type floor struct{ Low, High int }

// loadState reads the state at path, which may be missing or "", if it is of the same
// commit and machine.
func loadState(path, commit string, memory int) (*state, error) {
	s := &state{Commit: commit, Memory: memory, Runs: map[string][]crash{}, Floors: map[string]*floor{}, path: path}
	if path == "" {
		return s, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Commit != commit || s.Memory != memory {
		return nil, fmt.Errorf("%s is of commit %s and machines of %d MiB, not of %s and %d: remove it", path, s.Commit, s.Memory, commit, memory)
	}
	return s, nil
}

func (s *state) save() error {
	if s.path == "" {
		return nil
	}
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(s.path+".new", s.path)
}
