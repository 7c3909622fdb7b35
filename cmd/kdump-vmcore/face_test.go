package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// cmdVMLinux: vmlinux FILE BUILDID writes an ELF file with that build ID.
func cmdVMLinux(ts *testscript.TestScript, neg bool, args []string) {
	id, err := hex.DecodeString(args[1])
	ts.Check(err)
	le := binary.LittleEndian
	note := le.AppendUint32(nil, 4)
	note = le.AppendUint32(note, uint32(len(id)))
	note = le.AppendUint32(note, 3)
	note = append(append(note, "GNU\x00"...), id...)
	const names = "\x00.notes\x00.shstrtab\x00"
	var b bytes.Buffer
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Phentsize: 56, Shentsize: 64,
		Shoff: uint64(64 + len(note) + len(names)), Shnum: 3, Shstrndx: 2,
	}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	ts.Check(binary.Write(&b, le, h))
	b.Write(note)
	b.WriteString(names)
	ts.Check(binary.Write(&b, le, []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_NOTE), Off: 64, Size: uint64(len(note))},
		{Name: 8, Type: uint32(elf.SHT_STRTAB), Off: uint64(64 + len(note)), Size: uint64(len(names))},
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// cmdInfoOf: infoof CORE FILE writes a core's VMCOREINFO text.
func cmdInfoOf(ts *testscript.TestScript, neg bool, args []string) {
	src, err := vmcore.OpenPath(ts.MkAbs(args[0]))
	ts.Check(err)
	defer src.Close()
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), src.VMCoreInfo(), 0o600))
}

func TestParseLimit(t *testing.T) {
	for s, want := range map[string]int64{
		"1": 1, "4096": 4096, "10k": 10 << 10, "10K": 10 << 10, "5M": 5 << 20, "2g": 2 << 30, "3T": 3 << 40, "1P": 1 << 50, "7E": 7 << 60,
	} {
		if n, err := parseLimit(s); err != nil || n != want {
			t.Errorf("%q: %d, %v, want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "k", "1kk", "km", "1 M", "1.5G", "8E", "99999999999999999999", "0x10"} {
		if n, err := parseLimit(s); err == nil {
			t.Errorf("%q: %d", s, n)
		}
	}
}

func TestParseLadder(t *testing.T) {
	if l, err := parseLadder("31,0,17"); err != nil || !slices.Equal(l, []int{31, 0, 17}) {
		t.Errorf("%v, %v", l, err)
	}
	for _, s := range []string{"", ",", "31,", "32", "-1", "0x1f", "31x"} {
		if l, err := parseLadder(s); err == nil {
			t.Errorf("%q: %v", s, l)
		}
	}
}

func TestCrashKernel(t *testing.T) {
	const iomem = `00001000-0009fbff : System RAM
100000000-1bfffffff : System RAM
  1a0000000-1afffffff : Crash kernel
  2b000000-36ffffff : Crash kernel
`
	got, err := crashKernel(strings.NewReader(iomem))
	if want := "[{1a0000000 1b0000000} {2b000000 37000000}]"; err != nil || fmt.Sprintf("%x", got) != want {
		t.Errorf("%x, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"00000000-00000000 : Crash kernel", "5-4 : Crash kernel", "x-y : Crash kernel", "12 : Crash kernel", "1-ffffffffffffffff : Crash kernel"} {
		if got, err := crashKernel(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %x", bad, got)
		}
	}
}
