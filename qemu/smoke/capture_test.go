//go:build vm

package smoke

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu"
	"github.com/gokdump/gokdump/qemu/guest/script"
	"github.com/gokdump/gokdump/qemu/lab"
	"github.com/gokdump/gokdump/qemu/readers"
)

// The main thing: a production machine arms, panics, is captured to ext4 found by
// its UUID, and comes back by itself; every reader opens the dump.
func TestFromPanicToDump(t *testing.T) {
	o := crash(t, lab.Story{Return: true})
	l := left(t, o)
	whole(t, l)
	console(t, o, "reboot: Restarting system", "GUEST: files ", "/crash/"+l.Name+"/vmcore")
	for _, name := range l.Names() {
		if st, err := os.Stat(l.Path(name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", name, st.Mode(), err)
		}
	}
	core := l.Path(capture.DumpName)
	f := opensInDrgn(t, o, core)
	opensInCrash(t, core, len(f.Tasks), 2)
	if f, err := newer.NewerDrgn(t.Context(), shared.Kernel.Debug, core); err == nil {
		compare(t, o, f)
	} else if !errors.Is(err, readers.ErrNoNewer) {
		t.Error(err)
	}
	st, err := os.Stat(o.Image)
	if err != nil || st.Size() > 3<<20 || st.Mode().Perm() != 0o600 {
		t.Errorf("the crash image: %v bytes, mode %v, %v; want at most 3 MiB and 0600", st.Size(), st.Mode(), err)
	}
}

// Every codec and the levels that matter, on machines that differ.
func TestVariations(t *testing.T) {
	for _, tt := range []struct {
		name  string
		story lab.Story
		words string // further lines of kdump.conf
		check func(t *testing.T, o *lab.Outcome, l lab.Left, f *readers.Findings)
	}{
		{
			name: "zlib-five-level-tables", words: "codec zlib",
			story: lab.Story{CPU: "max"},
			check: func(t *testing.T, _ *lab.Outcome, l lab.Left, f *readers.Findings) {
				if !f.FiveLevel {
					t.Error("the kernel did not run with five-level page tables, so nothing was tested")
				}
				opensInCrash(t, l.Path(capture.DumpName), len(f.Tasks), 2)
			},
		},
		{
			name: "lzo-panic-on-second-cpu", words: "core_collector makedumpfile -l -d 17",
			story: lab.Story{PanicCPU: 1},
			check: func(t *testing.T, _ *lab.Outcome, l lab.Left, f *readers.Findings) {
				opensInCrash(t, l.Path(capture.DumpName), len(f.Tasks), 2)
			},
		},
		{
			name: "snappy-level-1-one-cpu", words: "codec snappy\nlevel 1",
			story: lab.Story{CPUs: 1, MemoryMiB: 512},
		},
		{
			name: "none-level-0", words: "codec none\nlevel 0",
			story: lab.Story{MemoryMiB: 512, Disk: qemu.Disk{SizeMiB: 1024, FSType: "ext4", UUID: lab.DiskUUID}},
			check: func(t *testing.T, _ *lab.Outcome, l lab.Left, _ *readers.Findings) {
				if l.Report.StoredPages != l.Report.RAMPages {
					t.Errorf("level 0 stored %d of %d pages", l.Report.StoredPages, l.Report.RAMPages)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.story.Config = lab.DefaultConfig + tt.words + "\n"
			o := crash(t, tt.story)
			l := left(t, o)
			whole(t, l)
			f := opensInDrgn(t, o, l.Path(capture.DumpName))
			if tt.check != nil {
				tt.check(t, o, l, f)
			}
		})
	}
}

// The other file systems that a target may have. One is found by its label.
func TestFileSystems(t *testing.T) {
	for fsType, device := range map[string]string{"xfs": "UUID=" + lab.DiskUUID, "btrfs": "LABEL=dumps"} {
		t.Run(fsType, func(t *testing.T) {
			o := crash(t, lab.Story{
				Config: fsType + " " + device + "\npath " + lab.CrashDir + "\nhost smoke\n",
				Disk:   qemu.Disk{SizeMiB: 512, FSType: fsType, UUID: lab.DiskUUID, Label: "dumps"},
				Carry:  true,
			})
			l := left(t, o)
			whole(t, l)
			f := opensInDrgn(t, o, l.Path(capture.DumpName))
			if !slices.Contains(f.Modules, fsType) {
				t.Errorf("drgn: module %s is not among %q, so the guest had another file system", fsType, f.Modules)
			}
		})
	}
}

// A disk without room still gets the log, and a dump that opens with the most
// valuable pages: about 80 MiB of them go first, the rest is more than 300.
func TestFullDisk(t *testing.T) {
	o := crash(t, lab.Story{
		Config:    lab.DefaultConfig + "codec none\nlevel 17\n",
		Disk:      qemu.Disk{SizeMiB: 200, FSType: "ext4", UUID: lab.DiskUUID},
		Fill:      script.Fill{Workers: 12, AnonMiB: 24, ShmMiB: 1},
		Unmounted: true,
	})
	partial(t, o, "no space left")
}

// A capture that takes too long ends with what it has. The disk is slow enough for
// any machine to miss the deadline: pages that differ fill it for 36 seconds. What a
// reader cannot do without takes ten of them, and twenty is what there is.
func TestCaptureDeadline(t *testing.T) {
	o := crash(t, lab.Story{
		Config: lab.DefaultConfig + "codec none\nlevel 17\ntimeout capture 20s\n",
		Disk:   qemu.Disk{SizeMiB: 1024, FSType: "ext4", UUID: lab.DiskUUID},
		Attach: func(image string) (qemu.Drive, error) {
			return qemu.Drive{Path: image, WriteMiBps: 8}, nil
		},
		Fill:      script.Fill{Workers: 12, AnonMiB: 24, ShmMiB: 1},
		Unmounted: true,
	})
	partial(t, o, "deadline")
}

func partial(t *testing.T, o *lab.Outcome, why string) {
	t.Helper()
	l := left(t, o)
	logSaved(t, l)
	r := l.Report
	if r.Result != capture.Partial || r.LeftOutPages == 0 || !strings.Contains(strings.ToLower(r.Error), why) {
		t.Errorf("report: %s, %d pages left out, error %q; want partial because of %q", r.Result, r.LeftOutPages, r.Error, why)
	}
	if strings.Contains(r.Error, "of the kernel's own") {
		t.Errorf("what a reader cannot do without is missing, so nothing can be tested: %s", r.Error)
	}
	if _, err := os.Stat(l.Path(capture.DumpName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a partial dump is named %s, as if it were complete (%v)", capture.DumpName, err)
	}
	core := l.Path(capture.PartialName)
	if out, code := command(t, "kdump-vmcore", "verify", core); code != 0 && code != 3 {
		t.Errorf("kdump-vmcore verify: exit %d\n%s", code, out)
	}
	f := opensInDrgn(t, o, core)
	opensInCrash(t, core, len(f.Tasks), 2)
}
