package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/capturetest"
)

// maxRSS is what a dump with two workers may take, the program's own pages
// included: crash kernels have little. Bytes.
const maxRSS = 24 << 20

// A dump's memory must not grow with the core, nor unseen.
func TestMemoryBudget(t *testing.T) {
	dir := t.TempDir()
	core := filepath.Join(dir, "core")
	ram := []capturetest.Range{{Start: 0x1000, End: 0x9f000}, {Start: 0x100000, End: 0x8000000}}
	if err := os.WriteFile(core, capturetest.ELF(capturetest.Options{RAM: ram}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"dump", "-d", "31", "-c", "zstd", "--workers", "2"},
		{"dump", "-d", "1", "-c", "zlib", "--workers", "2"},
	} {
		cmd := exec.CommandContext(t.Context(), "kdump-vmcore", append(args, core, filepath.Join(dir, args[4]))...)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		rss := highWater(cmd.Process.Pid, done, func(err error) {
			if err != nil {
				t.Fatalf("%q: %v\n%s", args, err, &said)
			}
		})
		t.Logf("%q: %d bytes of %d", args, rss, maxRSS)
		if rss == 0 || rss > maxRSS {
			t.Errorf("%q took %d bytes, the budget is %d", args, rss, maxRSS)
		}
	}
}

// highWater is the most that a process had in memory, as it told last before it
// ended: rusage would begin with what this process has.
func highWater(pid int, done <-chan error, ended func(error)) (most int) {
	for {
		select {
		case err := <-done:
			ended(err)
			return most
		case <-time.After(time.Millisecond):
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kib, _ := strconv.Atoi(strings.Fields(v)[0])
				most = kib << 10
			}
		}
	}
}
