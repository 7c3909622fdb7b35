package source

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/infoscan"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/kdumpfmt"
)

// guest is a machine as a hypervisor sees it.
type guest struct {
	vmcore.Source
	notes, info []byte
	more        []vmcore.Range // dumped as if it were RAM
	machine     elf.Machine
}

func (g *guest) Notes() []byte        { return g.notes }
func (g *guest) VMCoreInfo() []byte   { return g.info }
func (g *guest) RAM() []vmcore.Range  { return append(slices.Clone(g.Source.RAM()), g.more...) }
func (g *guest) Machine() elf.Machine { return g.machine }

// qemuNotes are the notes of a machine with two CPUs.
func qemuNotes() []byte {
	var b []byte
	for cpu := range byte(2) {
		b = vmcore.AppendNote(b, vmcore.Note{Name: "CORE", Type: vmcore.NotePRStatus, Desc: append(make([]byte, 335), cpu)})
	}
	for cpu := range byte(2) {
		b = vmcore.AppendNote(b, vmcore.Note{Name: "QEMU", Desc: append(make([]byte, 439), cpu)})
	}
	return append(b, 0, 0, 0, 0) // QEMU pads
}

// firmware is the device memory that every dump of a PC has.
var firmware = vmcore.Range{Start: 0xfffc0000, End: 1 << 32}

func newGuest(t *testing.T) (*synth.Machine, *guest) {
	t.Helper()
	m := synth.New(synth.Options{KASLR: 4 << 20, Drop: []string{"CRASHTIME"}, Runs: []synth.Run{{Kind: synth.Kernel, Count: 2, Zero: true}}})
	return m, &guest{Source: m.Source(), notes: qemuNotes(), machine: elf.EM_X86_64}
}

// hold puts the text into the guest's memory, as its kernel does.
func hold(m *synth.Machine, text []byte) {
	m.Put(m.Runs[0].PFN*synth.PageSize, append(bytes.Clone(text), 0))
}

func mend(t *testing.T, src vmcore.Source, opt Options) (vmcore.Source, string) {
	t.Helper()
	out, said, err := Mend(t.Context(), src, opt)
	if err != nil {
		t.Fatal(err)
	}
	return out, strings.Join(said, "\n")
}

func says(t *testing.T, said string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("says %q, want %q", said, w)
		}
	}
}

// A core that is right stays as it is.
func TestNothingToMend(t *testing.T) {
	m, _ := newGuest(t)
	src := m.Source()
	if out, said := mend(t, src, Options{}); out != src || said != "" {
		t.Errorf("%T, %q", out, said)
	}
}

func TestFindsVMCoreInfo(t *testing.T) {
	m, g := newGuest(t)
	hold(m, m.Info)
	out, said := mend(t, g, Options{})
	says(t, said, "no VMCOREINFO note", fmt.Sprintf("%#x", m.Runs[0].PFN*synth.PageSize))
	if !bytes.Equal(out.VMCoreInfo(), m.Info) {
		t.Errorf("VMCOREINFO of %d bytes", len(out.VMCoreInfo()))
	}
	var notes []string
	for n := range vmcore.EachNote(out.Notes()) {
		notes = append(notes, fmt.Sprintf("%s %d %d", n.Name, n.Type, n.Desc[len(n.Desc)-1]))
	}
	want := []string{"CORE 1 0", "CORE 1 1", "QEMU 0 0", "QEMU 0 1", fmt.Sprintf("VMCOREINFO 0 %d", '\n')}
	if !slices.Equal(notes, want) {
		t.Errorf("notes %q, want %q", notes, want)
	}
	if bytes.Contains(out.Notes(), []byte("CRASHTIME")) {
		t.Error("a CRASHTIME was made up")
	}
	if out.PageSize() != 4096 || out.Machine() != elf.EM_X86_64 {
		t.Errorf("page size %d, machine %v", out.PageSize(), out.Machine())
	}
}

func TestNoVMCoreInfo(t *testing.T) {
	_, g := newGuest(t)
	if out, said := mend(t, g, Options{}); out != vmcore.Source(g) || !strings.Contains(said, infoscan.ErrNotFound.Error()) {
		t.Errorf("%T, %q", out, said)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, said, err := Mend(ctx, g, Options{}); err != nil || !strings.Contains(fmt.Sprint(said), "canceled") {
		t.Errorf("%q, %v", said, err)
	}
}

// VMCOREINFO that does not fit is replaced in a hypervisor's dump, and left alone
// elsewhere: a kernel may have crashed because its own tables were broken.
func TestWrongVMCoreInfo(t *testing.T) {
	m, g := newGuest(t)
	hold(m, m.Info)
	g.info = bytes.Replace(m.Info, []byte("OSRELEASE=6"), []byte("OSRELEASE=5"), 1)
	g.notes = vmcore.AppendNote(qemuNotes()[:len(qemuNotes())-4], vmcore.Note{Name: "VMCOREINFO", Desc: g.info})
	out, said := mend(t, g, Options{})
	says(t, said, "does not fit")
	if !bytes.Equal(out.VMCoreInfo(), m.Info) || bytes.Count(out.Notes(), []byte("VMCOREINFO\x00")) != 1 {
		t.Errorf("VMCOREINFO %.40q", out.VMCoreInfo())
	}
	g.notes = vmcore.AppendNote(nil, vmcore.Note{Name: "VMCOREINFO", Desc: g.info})
	if out, said := mend(t, g, Options{}); out != vmcore.Source(g) || said != "" {
		t.Errorf("%T, %q", out, said)
	}
}

func TestGivenVMCoreInfo(t *testing.T) {
	m, g := newGuest(t)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	note := vmcore.AppendNote(nil, vmcore.Note{Name: "VMCOREINFO", Desc: m.Info})
	unproved := bytes.ReplaceAll(m.Info, []byte("SYMBOL(init_uts_ns)"), []byte("SYMBOL(xnit_uts_ns)"))
	for name, tt := range map[string]struct {
		file string
		want []byte
		said string
	}{
		"text":     {write("text", m.Info), m.Info, "is that of"},
		"note":     {write("note", append(note, make([]byte, 500)...)), m.Info, "is that of"},
		"unproved": {write("unproved", unproved), unproved, "unproved"},
	} {
		out, said := mend(t, g, Options{VMCoreInfo: tt.file})
		says(t, said, tt.said)
		if !bytes.Equal(out.VMCoreInfo(), tt.want) {
			t.Errorf("%s: VMCOREINFO %.30q", name, out.VMCoreInfo())
		}
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		dir:                        "directory",
		write("foreign", bytes.Replace(m.Info, []byte("OSRELEASE=6"), []byte("OSRELEASE=5"), 1)): "not that of this core's kernel",
		write("empty", nil): "OSRELEASE",
		write("sysfs", []byte("0x0000000041234000 1024\n")): "/sys/kernel/vmcoreinfo",
		write("sysfs2", []byte("41234000 1024\n")):          "/sys/kernel/vmcoreinfo",
		write("big", make([]byte, maxGiven+1)):              "not such a file",
	} {
		if _, _, err := Mend(t.Context(), g, Options{VMCoreInfo: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}

// Device memory goes only when all says that it is none of the kernel's.
func TestDeviceMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(m *synth.Machine, g *guest)
		ram    []synth.Range
		drops  bool
	}{
		"firmware": {drops: true},
		"firmware and VGA": {change: func(_ *synth.Machine, g *guest) {
			g.more = []vmcore.Range{{Start: 0xfd000000, End: 0xfe000000}, firmware}
		}, drops: true},
		"not QEMU":             {change: func(_ *synth.Machine, g *guest) { g.notes = nil }},
		"kernel not known":     {change: func(_ *synth.Machine, g *guest) { g.info = nil }},
		"below the devices":    {change: func(_ *synth.Machine, g *guest) { g.more = []vmcore.Range{{Start: 0xd0000000, End: 0xd1000000}} }},
		"above the devices":    {change: func(_ *synth.Machine, g *guest) { g.more = []vmcore.Range{{Start: 1 << 32, End: 1<<32 + 4096}} }},
		"across the border":    {change: func(_ *synth.Machine, g *guest) { g.more = []vmcore.Range{{Start: firmware.Start, End: 1<<32 + 4096}} }},
		"kernel has RAM there": {ram: []synth.Range{{Start: 0x1000, End: 0x9fc00}, {Start: 0x100000, End: 0xa00000}, {Start: 0xf8000000, End: 0xf8100000}}},
		"a bad section":        {change: func(m *synth.Machine, g *guest) { m.Put64(m.SectionSlot(0), 0x10000000001) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := synth.New(synth.Options{RAM: tt.ram})
			g := &guest{Source: m.Source(), notes: qemuNotes(), info: m.Info, more: []vmcore.Range{firmware}, machine: elf.EM_X86_64}
			if tt.change != nil {
				tt.change(m, g)
			}
			out, said := mend(t, g, Options{})
			want := g.RAM()
			if tt.drops {
				want = m.Source().RAM()
				says(t, said, "device memory")
			}
			if !slices.Equal(out.RAM(), want) {
				t.Errorf("RAM %x, want %x; says %q", out.RAM(), want, said)
			}
		})
	}
}

// kdump is a core that came as a kdump-compressed file.
type kdump struct {
	*guest
	head kdumpfmt.Header
	set  *pfnset.Set
}

func (k *kdump) Header() *vmcore.KdumpHeader                 { return &k.head }
func (k *kdump) Stored() *pfnset.Set                         { return k.set }
func (k *kdump) FileSize() int64                             { return 1 << 20 }
func (k *kdump) Descs(d []kdumpfmt.Desc, first uint64) error { return errors.New("no descriptors") }

func TestHeaderOfKdump(t *testing.T) {
	for name, uname := range map[string]vmcore.Uname{
		"empty, as QEMU 7.2":    {Machine: "x86_64"},
		"Unknown, as QEMU 11.1": {Sysname: "Unknown", Nodename: "Unknown", Release: "Unknown", Version: "Unknown", Machine: "Unknown", Domainname: "Unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			m, g := newGuest(t)
			hold(m, m.Info)
			k := &kdump{guest: g, set: pfnset.New(m.MaxPFN())}
			k.set.Add(1)
			k.head = kdumpfmt.Header{Uname: uname, PhysBase: 0x1234, BlockSize: 4096, DumpLevel: 1}
			out, said := mend(t, k, Options{})
			says(t, said, "names", "phys_base", "no VMCOREINFO note")
			h := out.(vmcore.Kdump).Header()
			want := vmcore.Uname{Sysname: "Linux", Nodename: "synth", Release: m.Opt.Release, Version: m.Opt.Version, Machine: "x86_64", Domainname: "(none)"}
			if h.Uname != want || h.PhysBase != int64(m.PhysBase) || h.DumpLevel != 1 {
				t.Errorf("header %+v", h)
			}
			if k.head.Uname != uname || k.head.PhysBase != 0x1234 {
				t.Error("the file's own header was changed")
			}
			if out.(vmcore.Kdump).Stored() != k.set || !bytes.Equal(out.VMCoreInfo(), m.Info) {
				t.Error("the rest is not the file's own")
			}
			again, said := mend(t, out, Options{})
			if again != out || said != "" {
				t.Errorf("mended again: %q", said)
			}
			if _, said := mend(t, k, Options{Salvage: true}); !strings.Contains(said, "could not be counted") {
				t.Errorf("says %q", said)
			}
		})
	}
}

// A VMCOREINFO of other pages than the file's blocks is refused.
func TestPageSizeOfKdump(t *testing.T) {
	m, g := newGuest(t)
	k := &kdump{guest: g, set: pfnset.New(m.MaxPFN()), head: kdumpfmt.Header{BlockSize: 4096}}
	path := filepath.Join(t.TempDir(), "info")
	text := bytes.Replace(bytes.ReplaceAll(m.Info, []byte("init_uts_ns"), []byte("x")), []byte("PAGESIZE=4096"), []byte("PAGESIZE=65536"), 1)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Mend(t.Context(), k, Options{VMCoreInfo: path}); err == nil || !strings.Contains(err.Error(), "pages of 65536 bytes") {
		t.Errorf("%v", err)
	}
}

func TestOpen(t *testing.T) {
	m, _ := newGuest(t)
	path := filepath.Join(t.TempDir(), "core")
	core := m.ELF()
	if err := os.WriteFile(path, core, 0o600); err != nil {
		t.Fatal(err)
	}
	src, said, err := Open(t.Context(), path, Options{})
	if err != nil || len(said) != 0 || src.Format() != "elf" {
		t.Fatalf("%q, %v", said, err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := Open(t.Context(), path, Options{VMCoreInfo: path + ".none"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := os.Truncate(path, int64(len(core))-8192); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(t.Context(), path, Options{}); !errors.Is(err, vmcore.ErrTruncated) {
		t.Errorf("%v", err)
	}
	if src, _, err := Open(t.Context(), path, Options{Salvage: true}); err != nil {
		t.Error(err)
	} else {
		src.Close()
	}
}
