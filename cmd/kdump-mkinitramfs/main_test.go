package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"strconv"
	"testing"

	"github.com/gokdump/gokdump/initramfs/archive"
	"github.com/gokdump/gokdump/initramfs/elftest"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){name: main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ko":       ko,
			"program":  program0,
			"vmlinuz":  vmlinuz,
			"mode":     mode,
			"cut":      cut,
			"stranger": stranger,
		},
	})
}

// ko FILE LINE... writes an x86-64 module with these lines of .modinfo.
func ko(ts *testscript.TestScript, _ bool, args []string) {
	write0(ts, args[0], elftest.Module(elf.EM_X86_64, args[1:]...))
}

// program FILE amd64|arm64 [INTERPRETER] writes a program, static without the last.
func program0(ts *testscript.TestScript, _ bool, args []string) {
	machine, interp := elf.EM_X86_64, ""
	if args[1] == "arm64" {
		machine = elf.EM_AARCH64
	}
	if len(args) > 2 {
		interp = args[2]
	}
	write0(ts, args[0], elftest.Program(machine, interp))
}

// vmlinuz FILE MIB writes the start of a bzImage that tells its init_size.
func vmlinuz(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, 0x300)
	copy(b[0x202:], "HdrS\x0f\x02")
	binary.LittleEndian.PutUint32(b[0x260:], uint32(n)<<20)
	write0(ts, args[0], b)
}

// mode FILE MODE checks a file's permission bits.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(st.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// cut FILE N takes the last N bytes off.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), st.Size()-int64(n)))
}

// stranger FILE writes an image that this program did not build.
func stranger(ts *testscript.TestScript, _ bool, args []string) {
	var b bytes.Buffer
	_, err := archive.Write(&b, archive.LZ4, []archive.File{{Name: "bin/sh", Mode: 0o755, Data: []byte("#!")}})
	ts.Check(err)
	write0(ts, args[0], b.Bytes())
}

func write0(ts *testscript.TestScript, file string, data []byte) {
	ts.Check(os.WriteFile(ts.MkAbs(file), data, 0o644))
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "64k": 64 << 10, "256M": 256 << 20, "2G": 2 << 30, "1g": 1 << 30} {
		if n, err := parseSize(s); err != nil || n != want {
			t.Errorf("%s: %d, %v", s, n, err)
		}
	}
	for _, s := range []string{"M", "0", "-1M", "x", "1T", "99999999999999G", "1.5G"} {
		if n, err := parseSize(s); err == nil {
			t.Errorf("%s: %d, no error", s, n)
		}
	}
}

func TestResolve(t *testing.T) {
	dir, err := resolve(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/real", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve(dir + "/link/not/yet"); err != nil || got != dir+"/real/not/yet" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := resolve("/"); err != nil || got != "/" {
		t.Errorf("%s, %v", got, err)
	}
}
