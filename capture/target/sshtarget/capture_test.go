package sshtarget_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/targettest/sshd"
	"github.com/gokdump/gokdump/capture/target/targettest/wire"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// run captures a synthetic machine to tg, whose directory is path, and gives the
// dump's own.
func run(t *testing.T, ctx context.Context, tg target.Target, path string) (*capture.Report, string, error) {
	t.Helper()
	core := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(core, synth.ELF(synth.Options{}), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := capture.Run(ctx, capture.Config{
		Core: core, Target: tg, CaptureLog: func() []byte { return []byte("log\n") },
		Plan: &plan.Plan{Host: "db1", Dump: plan.Dump{Level: 31, Codec: "zstd", Workers: 2}},
	})
	return rep, filepath.Join(path, rep.Dir), err
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// opens checks that a dump is sound and has as many pages as the report says.
func opens(t *testing.T, path string, rep *capture.Report) {
	t.Helper()
	src, err := vmcore.OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	check, err := dump.Verify(t.Context(), src.(vmcore.Kdump), dump.VerifyOptions{Every: 1})
	if err != nil || check.Pages != rep.StoredPages {
		t.Errorf("%d pages, %v; the report has %d", check.Pages, err, rep.StoredPages)
	}
}

func wantFiles(t *testing.T, dir, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	if got := strings.Join(all, " "); got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	rep := new(capture.Report)
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, capture.ReportName))), rep); err != nil {
		t.Error(err)
	}
}

func TestCaptureSFTP(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	c, path := config(t, s)
	rep, dir, err := run(t, t.Context(), connect(t, c), path)
	if err != nil || rep.Result != capture.Complete || rep.VerifiedPages == 0 {
		t.Fatalf("%s, %d pages read back, %v", rep.Result, rep.VerifiedPages, err)
	}
	wantFiles(t, dir, "README.txt capture.log report.json vmcore vmcore-dmesg.txt")
	opens(t, filepath.Join(dir, capture.DumpName), rep)
}

// The connection is lost again and again; nothing is lost but time, all is read
// back, and the report tells.
func TestCaptureThroughBadWire(t *testing.T) {
	s := sshd.Start(t, sshd.Options{})
	w := wire.New(t, s.Addr)
	c, path := config(t, s)
	c.Addr, c.KnownHosts = w.Addr, s.KnownHostsAt(w.Addr)
	tg := connect(t, c)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			w.CutAfter(600 << 10)
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	rep, dir, err := run(t, t.Context(), tg, path)
	close(stop)
	<-done
	if err != nil || rep.Result != capture.Complete {
		t.Fatalf("%s, %v", rep.Result, err)
	}
	if !strings.Contains(fmt.Sprint(rep.Warnings), "lost") {
		t.Errorf("warnings: %q", rep.Warnings)
	}
	opens(t, filepath.Join(dir, capture.DumpName), rep)
}

// By cat the dump is a flattened stream, and README.txt tells how to make a dump
// of it.
func TestCaptureCat(t *testing.T) {
	s := sshd.Start(t, sshd.Options{NoSFTP: true})
	c, path := config(t, s)
	rep, dir, err := run(t, t.Context(), connect(t, c), path)
	if err != nil || rep.Result != capture.Complete || !strings.Contains(rep.Proof, "SHA-256") {
		t.Fatalf("%s, proof %q, %v", rep.Result, rep.Proof, err)
	}
	wantFiles(t, dir, "README.txt capture.log report.json vmcore-dmesg.txt vmcore.flat")
	text := read(t, filepath.Join(dir, capture.ReadmeName))
	for _, want := range []string{
		"and is confirmed by the SHA-256 of the file on the server", "kdump-vmcore convert -R vmcore < vmcore.flat\n",
		"makedumpfile -R vmcore < vmcore.flat\n", "drgn -c vmcore -s", "vmcore.flat ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("README.txt lacks %q:\n%s", want, text)
		}
	}
	opens(t, unflatten(t, filepath.Join(dir, capture.FlatName)), rep)
}

// A stream that is cut short by the deadline is whole as a stream, and is called
// partial.
func TestCaptureCatPartial(t *testing.T) {
	s := sshd.Start(t, sshd.Options{NoSFTP: true})
	c, path := config(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	tg := connect(t, c)
	rep, dir, err := run(t, ctx, cancelAt{tg, cancel}, path)
	if err == nil || rep.Result != capture.Partial {
		t.Fatalf("%s, %v", rep.Result, err)
	}
	wantFiles(t, dir, "README.txt capture.log report.json vmcore-dmesg.txt vmcore-partial.flat")
	src, err := vmcore.OpenPath(unflatten(t, filepath.Join(dir, capture.PartialFlatName)))
	if err != nil {
		t.Fatal(err)
	}
	src.Close()
	if text := read(t, filepath.Join(dir, capture.ReadmeName)); !strings.Contains(text, "convert -R vmcore-partial < vmcore-partial.flat\n") {
		t.Errorf("README.txt:\n%s", text)
	}
}

// cancelAt ends the time when the dump has its first MiB.
type cancelAt struct {
	target.Target
	cancel func()
}

func (c cancelAt) Sequential() bool { return target.IsSequential(c.Target) }

func (c cancelAt) Sub(name string) (target.Target, error) {
	sub, err := c.Target.Sub(name)
	return cancelAt{sub, c.cancel}, err
}

func (c cancelAt) Create(name string) (target.File, error) {
	f, err := c.Target.Create(name)
	if name != capture.FlatName {
		return f, err
	}
	return cancelFile{f, c.cancel}, err
}

type cancelFile struct {
	target.File
	cancel func()
}

func (c cancelFile) Write(p []byte) (int, error) {
	if c.Size() > 1<<20 {
		c.cancel()
	}
	return c.File.Write(p)
}

func unflatten(t *testing.T, path string) string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "vmcore"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := dump.Unflatten(in, out); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}
