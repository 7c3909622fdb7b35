package main

import (
	"maps"
	"strings"
	"testing"
)

// The parts of a profile add up, by the stacks as pprof prints them.
func TestPartsOf(t *testing.T) {
	const m = "github.com/gokdump/gokdump/"
	got := partsOf(`File: bench
Type: cpu
-----------+-------------------------------------------------------
      20ms   ` + m + `capture/codec.(*matcher).find
             ` + m + `capture/dump.(*worker).encode
             ` + m + `capture.(*save).write
-----------+-------------------------------------------------------
     1.50s   internal/runtime/syscall/linux.Syscall6
             ` + m + `capture/dump.(*worker).load
             ` + m + `capture/dump.(*worker).fill
-----------+-------------------------------------------------------
      10ms   ` + m + `capture/codec.decodeLZO
             ` + m + `capture.(*save).verify
-----------+-------------------------------------------------------
      10ms   runtime.futex
`)
	want := map[string]float64{"compressing": 0.02, "reading pages": 1.5, "reading back": 0.01, "the rest": 0.01}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What limits a missed figure is told as it was measured.
func TestSplitInWords(t *testing.T) {
	s := split{Wall: map[string]float64{"all": 2, "filter": 0.5, "write": 1.25, "sync": 0.125, "verify": 0.25},
		CPU: map[string]float64{"compressing": 1, "filter": 0.5, "syncing": 0.0001}}
	want := "of 2.00 s in a profiled run, filtering took 0.50, writing 1.25 (the last syncing 0.12) and reading back 0.25; of 1.50 s of CPU time filter 0.50, compressing 1.00"
	if got := s.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	text := table([]figure{{name: "wall, -d 31, lzo, 2 CPUs", bar: 1, value: 2, limit: "the runs took from a to b; " + s.String()}}, nil)
	if !strings.Contains(text, "2 CPUs: the runs took from a to b; "+want+"; ") {
		t.Errorf("the table does not tell what limits:\n%s", text)
	}
}
