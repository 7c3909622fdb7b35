//go:build vm

package smoke

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture/vmcore"
	"github.com/gokdump/gokdump/capture/vmcore/flat"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
)

// QEMU dumps a guest that has no crash kernel, in every format it has, with and
// without the guest's VMCOREINFO: all of them give one and the same dump, which
// every reader opens. crash is asked for the guest that panicked alone: 8.0.6 opens
// none of a guest that idles, QEMU's own files neither.
func TestHypervisorDumps(t *testing.T) {
	for _, tt := range []struct {
		name  string
		note  bool
		panic bool
		cpu   string
	}{{name: "idle-with-note", note: true}, {name: "panicked-without-note-five-level-tables", panic: true, cpu: "max"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := dir(t)
			o, err := shared.DumpLive(t.Context(), d, lab.Live{Note: tt.note, Panic: tt.panic, MemoryMiB: 320, CPU: tt.cpu},
				lab.HostDump{Name: "elf", Format: "elf"},
				lab.HostDump{Name: "paging", Format: "elf", Paging: true},
				lab.HostDump{Name: "flat", Format: "kdump-zlib"})
			if err != nil {
				t.Fatal(err)
			}
			unflatten(t, filepath.Join(d, "flat"), filepath.Join(d, "raw"))
			var first vmcore.Kdump
			for _, name := range []string{"elf", "paging", "flat", "raw"} {
				in, out := filepath.Join(d, name), filepath.Join(d, name+".kdump")
				said, code := command(t, "kdump-vmcore", "dump", "-d", "31", in, out)
				if code != 0 || strings.Contains(said, "warning:") || strings.Contains(said, "found in its memory") == tt.note {
					t.Errorf("%s: exit %d\n%s", name, code, said)
				}
				if name != "paging" && !strings.Contains(said, "device memory") {
					t.Errorf("%s: the firmware was not left out\n%s", name, said)
				}
				k := openKdump(t, out)
				if first == nil || name == "flat" { // QEMU's headers differ
					f, err := readers.Drgn(t.Context(), shared.Kernel.Debug, out)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					compareLive(t, o, f, tt.note, tt.panic)
				}
				if first == nil {
					first = k
					noCanaries(t, k)
					f, err := newer.NewerDrgn(t.Context(), shared.Kernel.Debug, out)
					if err != nil && !errors.Is(err, readers.ErrNoNewer) {
						t.Error(err)
					} else if err == nil {
						compareLive(t, o, f, tt.note, tt.panic)
						registers(t, f)
						if tt.panic {
							opensInCrash(t, out, len(f.Tasks), 2)
						}
					}
				}
				samePages(t, name, first, k)
			}
			keepsImage(t, filepath.Join(d, "paging"), first)
		})
	}
}

// compareLive is compare for a machine that may run, and has no disk.
func compareLive(t *testing.T, o *lab.Outcome, f *readers.Findings, note, panicked bool) {
	t.Helper()
	if f.Release != shared.Kernel.Release || (f.CrashedTID != 0) != panicked {
		t.Errorf("drgn: release %q, task %d crashed", f.Release, f.CrashedTID)
	}
	if panicked && !slices.Contains(f.Frames, "sysrq_handle_crash") {
		t.Errorf("drgn: backtrace of %s does not reach sysrq_handle_crash:\n%s", f.CrashedComm, f.Trace)
	}
	if slices.Contains(f.Modules, "qemu_fw_cfg") != note {
		t.Errorf("drgn: modules %q", f.Modules)
	}
	if !strings.Contains(f.Dmesg, "Linux version "+shared.Kernel.Release) {
		t.Errorf("drgn: a log of %d bytes", len(f.Dmesg))
	}
	tasks(t, o, f.Tasks)
}

// registers checks that newer readers take each CPU's registers from QEMU.
func registers(t *testing.T, f *readers.Findings) {
	t.Helper()
	if len(f.Running) == 0 { // a panic takes the others offline
		t.Error("drgn: no CPU is online")
	}
	for cpu, frames := range f.Running {
		if len(frames) == 0 || frames[0] == "" { // one frame alone is one of a program
			t.Errorf("drgn: backtrace of CPU %d: %q", cpu, frames)
		}
	}
}

// unflatten writes the file that a flattened one describes: the same as QEMU's
// raw formats, which come with version 8.2.
func unflatten(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := flat.Open(in, st.Size(), false)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, io.NewSectionReader(f, 0, f.Length()))
	if err = errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

func openKdump(t *testing.T, path string) vmcore.Kdump {
	t.Helper()
	src, err := vmcore.OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src.(vmcore.Kdump)
}

// eachPage calls f with each stored page.
func eachPage(t *testing.T, k vmcore.Kdump, f func(pfn uint64, page []byte)) {
	t.Helper()
	r, err := k.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page := make([]byte, k.PageSize())
	for pfn, ok := k.Stored().Next(0); ok; pfn, ok = k.Stored().Next(pfn + 1) {
		if err := r.ReadPhys(page, pfn*k.PageSize()); err != nil {
			t.Fatal(err)
		}
		f(pfn, page)
	}
}

// samePages compares two dumps of one moment, in all RAM that both know of: by
// page tables, QEMU does not see the firmware's tables at the end of memory.
func samePages(t *testing.T, name string, want, got vmcore.Kdump) {
	t.Helper()
	limit := got.RAM()[len(got.RAM())-1].End / got.PageSize()
	r, err := got.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	page := make([]byte, got.PageSize())
	var pages, differ uint64
	eachPage(t, want, func(pfn uint64, p []byte) {
		if pfn >= limit {
			return
		}
		pages++
		if r.ReadPhys(page, pfn*got.PageSize()) != nil || !bytes.Equal(p, page) {
			differ++
		}
	})
	if differ > 0 || pages != got.Stored().Len() || pages < 5000 || want.Stored().Len()-pages > 64 {
		t.Errorf("%s: %d pages, %d of %d in common differ", name, got.Stored().Len(), differ, pages)
	}
}

// strays is how many pages of a program's memory a dump of level 31 may have: freed
// ones that the kernel keeps for one CPU, in lists that leave no mark on the page.
const strays = 64

// noCanaries looks for what the guest's programs have in their memory, which is
// 9000 pages.
func noCanaries(t *testing.T, k vmcore.Kdump) {
	t.Helper()
	found := 0
	eachPage(t, k, func(_ uint64, page []byte) {
		for _, s := range []string{"gokdump anonymous of ", "gokdump tmpfs of "} {
			// A page of the pattern repeats it; the program's own text, in its
			// file's page cache, has it once.
			if bytes.Count(page, []byte(s)) > 2 {
				found++
			}
		}
	})
	if found > strays {
		t.Errorf("%d pages of user memory in a dump of level 31", found)
	}
}

// keepsImage checks that the kernel's image, which only the dump by page tables
// shows, is in a dump that was made without it, but for what the kernel freed of
// it: its init code, and gaps of some MiB.
func keepsImage(t *testing.T, paging string, k vmcore.Kdump) {
	t.Helper()
	src, err := vmcore.OpenPath(paging)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var pages, missing uint64
	for _, r := range src.KernelImage() {
		for pfn := r.Start / src.PageSize(); pfn < r.End/src.PageSize(); pfn++ {
			pages++
			if !k.Stored().Has(pfn) {
				missing++
			}
		}
	}
	if pages < 5000 || missing > pages/4 {
		t.Errorf("%d of %d pages of the kernel's image are missing", missing, pages)
	}
}
