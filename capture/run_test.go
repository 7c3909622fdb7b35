package capture

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// crashDir is where the synthetic machine's dump goes: its CRASHTIME, in UTC.
const crashDir = "db1-2023-11-14T22-13-20Z"

func config(t *testing.T, core []byte, tg target.Target) Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(path, core, 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{
		Core:   path,
		Target: tg,
		Plan:   &plan.Plan{Host: "db1", Dump: plan.Dump{Level: 31, Codec: "zstd", Workers: 2}},
	}
}

func dirTarget(t *testing.T) (string, target.Target) {
	t.Helper()
	dir := t.TempDir()
	tg, err := target.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	return dir, tg
}

func readReport(t *testing.T, dir string) *Report {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, ReportName))
	if err != nil {
		t.Fatal(err)
	}
	r := new(Report)
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// names lists what is in dir, so that a test sees what must not be there too.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestRunComplete(t *testing.T) {
	dir, tg := dirTarget(t)
	cfg := config(t, synth.ELF(synth.Options{}), tg)
	cfg.CaptureLog = func() []byte { return []byte("all was well\n") }
	rep, err := Run(t.Context(), cfg)
	if err != nil || rep.Result != Complete {
		t.Fatalf("result %s: %v", rep.Result, err)
	}
	out := filepath.Join(dir, crashDir)
	if got, want := names(t, out), "README.txt capture.log report.json vmcore vmcore-dmesg.txt"; got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	log, _ := os.ReadFile(filepath.Join(out, LogName))
	if !strings.Contains(string(log), "Kernel panic - not syncing: synthetic crash\n") {
		t.Errorf("log: %q", log)
	}
	saved := readReport(t, out)
	if saved.Result != Complete || saved.Panic == "" || saved.Kernel != "6.1.0-synth" || saved.StoredPages == 0 {
		t.Errorf("report: %+v", saved)
	}
	text, _ := os.ReadFile(filepath.Join(out, ReadmeName))
	for _, want := range []string{"COMPLETE", "synthetic crash", "drgn -c vmcore"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("README.txt lacks %q:\n%s", want, text)
		}
	}
	core, err := vmcore.OpenPath(filepath.Join(out, DumpName))
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	if info, _ := os.Stat(filepath.Join(out, DumpName)); info.Mode().Perm() != 0o600 {
		t.Errorf("vmcore has mode %v", info.Mode())
	}

	// A second capture of the same crash must not touch the first.
	if rep, err := Run(t.Context(), cfg); err != nil || rep.Dir != crashDir+"-02" {
		t.Errorf("second run: dir %q, %v", rep.Dir, err)
	}
}

func TestRunWithoutTarget(t *testing.T) {
	cfg := config(t, synth.ELF(synth.Options{}), nil)
	var told strings.Builder
	cfg.Event = func(e Event) { told.WriteString(e.Message + "\n") }
	rep, err := Run(t.Context(), cfg)
	if err == nil || rep.Result != Failed {
		t.Fatalf("result %s, error %v: nothing was saved", rep.Result, err)
	}
	if !strings.Contains(told.String(), "Kernel panic - not syncing: synthetic crash") {
		t.Errorf("the watcher was not shown the log:\n%s", told.String())
	}
}

func TestRunBadCores(t *testing.T) {
	good := synth.ELF(synth.Options{})
	for name, tt := range map[string]struct {
		core   []byte
		result Result
		files  string
	}{
		"empty":     {nil, Failed, "README.txt report.json"},
		"garbage":   {[]byte(strings.Repeat("garbage ", 4096)), Failed, "README.txt report.json"},
		"truncated": {good[:len(good)/2], Failed, "README.txt report.json"},
		"no VMCOREINFO": {
			synth.ELF(synth.Options{Drop: []string{"PAGESIZE", "NUMBER(phys_base)"}}), Complete,
			"README.txt report.json vmcore",
		},
		"no log": {
			synth.ELF(synth.Options{Drop: []string{"SYMBOL(prb)", "SYMBOL(printk_rb_static)"}}), Complete,
			"README.txt report.json vmcore",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, tg := dirTarget(t)
			rep, err := Run(t.Context(), config(t, tt.core, tg))
			if rep.Result != tt.result {
				t.Errorf("result %s (%v), want %s", rep.Result, err, tt.result)
			}
			if err == nil {
				t.Error("no error, but the capture is not whole")
			}
			if got := names(t, filepath.Join(dir, rep.Dir)); got != tt.files {
				t.Errorf("files are %q, want %q", got, tt.files)
			}
		})
	}
}

// fullTarget is a disk with little room left.
type fullTarget struct {
	target.Target
	room *atomic.Int64
}

func (f fullTarget) Sub(name string) (target.Target, error) {
	t, err := f.Target.Sub(name)
	return fullTarget{t, f.room}, err
}

func (f fullTarget) Create(name string) (target.File, error) {
	file, err := f.Target.Create(name)
	return &fullFile{File: file, room: f.room}, err
}

// fullFile takes room for each byte by which it grows.
type fullFile struct {
	target.File
	room *atomic.Int64
	size atomic.Int64
}

func (f *fullFile) grow(to int64) error {
	for {
		size := f.size.Load()
		if to <= size {
			return nil
		}
		if !f.size.CompareAndSwap(size, to) {
			continue
		}
		if f.room.Add(size-to) < 0 {
			f.room.Add(to - size)
			f.size.Store(size)
			return syscall.ENOSPC
		}
		return nil
	}
}

func (f *fullFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.grow(off + int64(len(p))); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *fullFile) Write(p []byte) (int, error) {
	if err := f.grow(f.size.Load() + int64(len(p))); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *fullFile) Truncate(n int64) error {
	if err := f.grow(n); err != nil {
		return err
	}
	if old := f.size.Swap(n); old > n {
		f.room.Add(old - n)
	}
	return f.File.Truncate(n)
}

// Whatever the room: the report is never lost to the dump, nothing claims to be
// whole that is not, and a dump that has its name opens.
func TestRunFullDisk(t *testing.T) {
	core := synth.ELF(synth.Options{})
	seen := map[Result]bool{}
	warned := map[bool]bool{}
	for room := int64(0); room < 30<<20; room += 1 << 20 {
		dir, tg := dirTarget(t)
		left := new(atomic.Int64)
		left.Store(room)
		cfg := config(t, core, fullTarget{tg, left})
		cfg.Plan.Dump.Codec = "none"
		rep, err := Run(t.Context(), cfg)
		seen[rep.Result] = true
		if rep.Result == Partial {
			warned[strings.Contains(rep.Error, "of the kernel's own are missing") || strings.Contains(rep.Error, "too little was saved")] = true
		}
		if (rep.Result == Complete) != (err == nil) {
			t.Errorf("room %d: result %s, error %v", room, rep.Result, err)
		}
		out := filepath.Join(dir, rep.Dir)
		if room > 1<<20 {
			saved := readReport(t, out)
			if saved.Result != rep.Result {
				t.Errorf("room %d: report.json says %s, Run %s", room, saved.Result, rep.Result)
			}
			if _, err := os.Stat(filepath.Join(out, LogName)); err != nil {
				t.Errorf("room %d: the log was lost: %v", room, err)
			}
		}
		for name, want := range map[string]Result{DumpName: Complete, PartialName: Partial} {
			src, err := vmcore.OpenPath(filepath.Join(out, name))
			switch {
			case err == nil && rep.Result == want:
				src.Close()
			case err == nil:
				src.Close()
				t.Errorf("room %d: there is a %s, but the result is %s", room, name, rep.Result)
			case rep.Result == want:
				t.Errorf("room %d: %v", room, err)
			case !errors.Is(err, fs.ErrNotExist):
				t.Errorf("room %d: %s: %v", room, name, err)
			}
		}
	}
	for _, want := range []Result{Failed, Partial, Complete} {
		if !seen[want] {
			t.Errorf("no room gave the result %s: the test does not test it", want)
		}
	}
	// A partial dump that may not open says so, one that does says nothing of the kind.
	if !warned[true] || !warned[false] {
		t.Errorf("partial dumps warn of the kernel's own pages: %v, and do not: %v", warned[true], warned[false])
	}
}

// brokenTarget has a defect: it panics when a file is created.
type brokenTarget struct {
	target.Target
	file string
}

func (b brokenTarget) Sub(name string) (target.Target, error) {
	t, err := b.Target.Sub(name)
	return brokenTarget{t, b.file}, err
}

func (b brokenTarget) Create(name string) (target.File, error) {
	if name == b.file {
		panic("a defect of ours")
	}
	return b.Target.Create(name)
}

// A panic costs what it is about, and nothing else.
func TestRunPanicInside(t *testing.T) {
	for file, step := range map[string]string{LogName: "save log", ReadmeName: "hold room", ReportName: "hold room"} {
		dir, tg := dirTarget(t)
		rep, err := Run(t.Context(), config(t, synth.ELF(synth.Options{}), brokenTarget{tg, file}))
		if err == nil || rep.FailedStep != step || !strings.Contains(rep.Error, "a defect of ours") {
			t.Errorf("%s: failed at %q: %v", file, rep.FailedStep, err)
		}
		if rep.Result != Complete {
			t.Errorf("%s: the dump was lost too: %s", file, rep.Result)
		}
		if file != ReportName {
			readReport(t, filepath.Join(dir, rep.Dir))
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 3 << 30: "3.0 GiB", 1 << 60: "1024.0 PiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDeadlineInPast(t *testing.T) {
	dir, tg := dirTarget(t)
	cfg := config(t, synth.ELF(synth.Options{}), tg)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	rep, err := Run(ctx, cfg)
	if err == nil || rep.Result == Complete {
		t.Errorf("result %s, %v", rep.Result, err)
	}
	out := filepath.Join(dir, rep.Dir)
	if _, err := os.Stat(filepath.Join(out, LogName)); err != nil {
		t.Errorf("the log was lost: %v", err)
	}
	readReport(t, out)
}
