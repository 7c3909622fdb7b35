package main

import (
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/gokdump/gokdump/capture/capturetest"
)

func TestMain(m *testing.M) {
	run := func() {
		// A limit on the size of files fails as a full disk does, and needs no
		// privilege.
		if s := os.Getenv("TEST_FILE_LIMIT"); s != "" {
			n, err := strconv.ParseUint(s, 10, 64)
			if err == nil {
				err = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: n})
			}
			if err != nil {
				panic(err)
			}
		}
		main()
	}
	testscript.Main(m, map[string]func(){"kdump-vmcore": run, "makedumpfile": run})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"synth": cmdSynth,
			"exits": cmdExits,
			"poke":  cmdPoke,
			"cut":   cmdCut,

			"vmlinux": cmdVMLinux,
			"infoof":  cmdInfoOf,

			"keygen":  cmdKeygen,
			"encrypt": cmdEncrypt,
			"mode":    cmdMode,
		},
	})
}

// cmdSynth: synth FILE [drop=KEY]... [extra=LINE] [text=LOGTEXT]... writes the
// core of a small machine: 64 pages of each of some kinds.
func cmdSynth(ts *testscript.TestScript, neg bool, args []string) {
	ram := []capturetest.Range{{Start: 0x1000, End: 0x9fc00}, {Start: 0x100000, End: 0xa00000}}
	opt := capturetest.Options{CPUs: 2, RAM: ram, Runs: []capturetest.Run{
		{Kind: capturetest.Anon, Count: 64}, {Kind: capturetest.Cache, Count: 64}, {Kind: capturetest.CachePrivate, Count: 64},
		{Kind: capturetest.Free, Order: 6}, {Kind: capturetest.Kernel, Count: 64, Zero: true}, {Kind: capturetest.HWPoison, Count: 1},
	}}
	for i, a := range args[1:] {
		switch k, v, _ := strings.Cut(a, "="); k {
		case "drop":
			opt.Drop = append(opt.Drop, v)
		case "extra":
			opt.Extra += v + "\n"
		case "text":
			opt.Log = append(opt.Log, capturetest.Record{TimeNS: uint64(i) * 1_000_001_000, Level: 4, Facility: 1, Caller: 7, Text: strings.ReplaceAll(v, `\n`, "\n")})
		default:
			ts.Fatalf("synth: %q", a)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), capturetest.ELF(opt), 0o600))
}

// cmdExits: exits CODE PROGRAM ARG... runs a program and checks its exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdPoke: poke FILE OFFSET HEX overwrites bytes.
func cmdPoke(ts *testscript.TestScript, neg bool, args []string) {
	off, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	b, err := hex.DecodeString(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	defer f.Close()
	_, err = f.WriteAt(b, off)
	ts.Check(err)
}

// cmdCut: cut FILE SIZE shortens a file; a negative size is counted from its end.
func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	fi, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if n < 0 {
		n += fi.Size()
	}
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}
