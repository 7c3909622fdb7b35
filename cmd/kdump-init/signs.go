package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture"
)

// A sign is one line of JSON from the worker to PID 1.
type sign struct {
	// Step is what the worker does now.
	Step string `json:"step,omitempty"`
	// Target is the index of the plan's target that is tried now.
	Target int `json:"target,omitempty"`
	// Within is when the next sign comes at the latest, in seconds.
	Within int `json:"within,omitempty"`
	// Verdict is the last sign.
	Verdict *verdict `json:"verdict,omitempty"`
}

// A verdict is what an attempt came to.
type verdict struct {
	Result capture.Result `json:"result"`
	Step   string         `json:"step,omitempty"`  // that failed
	Error  string         `json:"error,omitempty"` // why
	Dir    string         `json:"dir,omitempty"`   // of the dump, in the target
	Target string         `json:"target,omitempty"`
	// Late: the deadline of the whole capture passed, which another target
	// would not change.
	Late bool `json:"late,omitempty"`

	logged bool // the target has the crashed kernel's log; for the worker itself
}

// failed is the verdict of a step that could not be done.
func failed(step string, err error) verdict {
	return verdict{Result: capture.Failed, Step: step, Error: err.Error()}
}

// saved tells whether all was saved that should be.
func (v verdict) saved() bool {
	return v.Result == capture.Complete || v.Result == capture.LogOnly
}

func (v verdict) String() string {
	switch {
	case v.Result == capture.LogOnly && v.Error == "":
		return fmt.Sprintf("a crash loop: only the log was saved, in %s/%s", v.Target, v.Dir)
	case v.Result == capture.Complete:
		return fmt.Sprintf("the dump is complete, in %s/%s", v.Target, v.Dir)
	case v.Dir != "":
		return fmt.Sprintf("%s at step %q: %s (what was saved is in %s/%s)", v.Result, v.Step, v.Error, v.Target, v.Dir)
	}
	return fmt.Sprintf("%s at step %q: %s", v.Result, v.Step, v.Error)
}

// signer writes signs; it may be used by several goroutines.
type signer struct {
	mu     sync.Mutex
	w      io.Writer
	target int
	step   string
	last   time.Time
}

// alive says that the next sign comes within d. Signs of the same step are sent
// once a second at most.
func (s *signer) alive(target int, step string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target == s.target && step == s.step && time.Since(s.last) < time.Second {
		return
	}
	s.target, s.step, s.last = target, step, time.Now()
	s.send(sign{Target: target, Step: step, Within: int(d/time.Second) + 1})
}

// maxError bounds the text of an error in a verdict, in bytes, so that a sign
// stays a short line: a machine may have a thousand disks to list.
const maxError = 8 << 10

func (s *signer) verdict(v verdict) {
	if len(v.Error) > maxError {
		v.Error = v.Error[:maxError] + "..."
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(sign{Verdict: &v})
}

// send writes one line. PID 1 notices by itself when nothing comes.
func (s *signer) send(x sign) {
	if b, err := json.Marshal(x); err == nil {
		_, _ = s.w.Write(append(b, '\n'))
	}
}

// readSigns gives the signs in r until it ends. Lines that are none are left
// out.
func readSigns(r io.Reader) <-chan sign {
	ch := make(chan sign)
	go func() {
		defer close(ch)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			var s sign
			if json.Unmarshal(lines.Bytes(), &s) == nil {
				ch <- s
			}
		}
	}()
	return ch
}
