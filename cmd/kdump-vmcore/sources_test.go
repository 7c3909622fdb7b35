package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokdump/gokdump/capture/capturetest"
	"github.com/gokdump/gokdump/capture/vmcore/flat"
)

// Cores of every maker and format, mended, salvaged or explained.
func TestSources(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/sources",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"guest":   cmdGuest,
			"flatten": cmdFlatten,
			"synth":   cmdSynth,
			"exits":   cmdExits,
			"poke":    cmdPoke,
			"cut":     cmdCut,
		},
	})
}

// cmdGuest: guest CORE INFO writes a core as QEMU makes it, without VMCOREINFO,
// and that VMCOREINFO.
func cmdGuest(ts *testscript.TestScript, neg bool, args []string) {
	core, info := capturetest.Guest(capturetest.Options{
		RAM:  []capturetest.Range{{Start: 0x1000, End: 0x9fc00}, {Start: 0x100000, End: 0xa00000}},
		Runs: []capturetest.Run{{Kind: capturetest.Anon, Count: 64}, {Kind: capturetest.Free, Order: 6}},
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), core, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), info, 0o600))
}

// cmdFlatten: flatten IN OUT writes a file as makedumpfile -F does, the second half
// of it first but for its first 64 KiB.
func cmdFlatten(ts *testscript.TestScript, neg bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	out := make([]byte, flat.HeaderSize)
	copy(out, flat.Magic)
	out[23], out[31] = flat.Type, flat.Version
	put := func(off, size int, data []byte) {
		out = binary.BigEndian.AppendUint64(out, uint64(off))
		out = binary.BigEndian.AppendUint64(out, uint64(size))
		out = append(out, data...)
	}
	head, mid := min(len(b), 64<<10), len(b)/2
	for _, s := range [][2]int{{0, head}, {mid, len(b)}, {head, mid}} {
		for i := s[0]; i < s[1]; i += 10000 {
			n := min(10000, s[1]-i)
			put(i, n, b[i:i+n])
		}
	}
	put(flat.EndMark, flat.EndMark, bytes.Clone(nil))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out, 0o600))
}
