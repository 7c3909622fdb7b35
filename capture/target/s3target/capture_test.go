package s3target_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/dump"
	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/past"
	"github.com/gokdump/gokdump/capture/plan"
	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/s3target"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// largeCore is a machine whose dump has many parts.
func largeCore() synth.Options {
	return synth.Options{
		RAM:  []synth.Range{{Start: 0x1000, End: 0x9fc00}, {Start: 0x100000, End: 0x3000000}, {Start: 0x8000000, End: 0x9000000}},
		Runs: []synth.Run{{Kind: synth.Anon, Count: 3000}},
	}
}

// run captures a synthetic machine to tg, whose directory is path, and gives the
// dump's own. Pages are not compressed, so that there are many parts.
func run(t *testing.T, ctx context.Context, tg target.Target, path string, change func(*capture.Config)) (*capture.Report, string, error) {
	t.Helper()
	core := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(core, synth.ELF(largeCore()), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := capture.Config{
		Core: core, Target: tg, CaptureLog: func() []byte { return []byte("log\n") },
		Plan: &plan.Plan{Host: "db1", Dump: plan.Dump{Level: 0, Codec: "none", Workers: 3}},
	}
	if change != nil {
		change(&cfg)
	}
	rep, err := capture.Run(ctx, cfg)
	return rep, filepath.Join(path, rep.Dir), err
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
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
	if err != nil || check.Pages != rep.StoredPages || check.Incomplete != (rep.Result == capture.Partial) {
		t.Errorf("%d pages, incomplete %v, %v; the report has %d, %s", check.Pages, check.Incomplete, err, rep.StoredPages, rep.Result)
	}
}

func TestCapture(t *testing.T) {
	s := s3d.Start(t, true)
	c, path := config(t, s)
	tg := connect(t, c)
	rep, dir, err := run(t, t.Context(), tg, path, nil)
	if err != nil || rep.Result != capture.Complete || !strings.Contains(rep.Proof, "checksums") {
		t.Fatalf("%s, proof %q, %v", rep.Result, rep.Proof, err)
	}
	if got, want := names(t, dir), "README.txt capture.log report.json vmcore vmcore-dmesg.txt"; got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	if f, _ := rep.FileNamed(capture.DumpName); f.Bytes < 5*5<<20 {
		t.Errorf("the dump has %d bytes: too few parts", f.Bytes)
	}
	opens(t, filepath.Join(dir, capture.DumpName), rep)
	b, err := os.ReadFile(filepath.Join(dir, capture.ReportName))
	if err != nil {
		t.Fatal(err)
	}
	saved := new(capture.Report)
	if err := json.Unmarshal(b, saved); err != nil || saved.Result != capture.Complete || saved.Proof != rep.Proof {
		t.Errorf("%+v, %v", saved, err)
	}
	if rep, _, err := run(t, t.Context(), tg, path, nil); err != nil || !strings.HasSuffix(rep.Dir, "-02") {
		t.Errorf("a second capture goes to %s, %v", rep.Dir, err)
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// The rules about earlier dumps, of which there are more than one answer lists.
func TestCaptureRules(t *testing.T) {
	s := s3d.Start(t, false)
	c, path := config(t, s)
	for i := range 1200 { // of other hosts
		dir := filepath.Join(path, fmt.Sprintf("web%d-2026-11-01T00-00-00Z", i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, capture.DumpName), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tg := connect(t, c)
	rules := func(cfg *capture.Config) {
		cfg.Keep = past.Keep{Dumps: 2}
		cfg.Guard = past.Guard{Dumps: 2, Within: time.Hour}
	}
	var dirs []string
	for i := range 3 {
		rep, _, err := run(t, t.Context(), tg, path, func(cfg *capture.Config) {
			if rules(cfg); i < 2 {
				cfg.Guard = past.Guard{}
			}
		})
		want := capture.Complete
		if i == 2 {
			want = capture.LogOnly
		}
		if err != nil || rep.Result != want || len(rep.Removed) > 0 {
			t.Fatalf("crash %d: %s, removed %q, %v", i+1, rep.Result, rep.Removed, err)
		}
		dirs = append(dirs, rep.Dir)
	}
	rep, _, err := run(t, t.Context(), tg, path, func(cfg *capture.Config) { cfg.Keep = past.Keep{Dumps: 2, Free: 1 << 30} })
	if err != nil || rep.Result != capture.Complete || !slices.Equal(rep.Removed, dirs[:1]) {
		t.Errorf("%s, removed %q, want %q, %v", rep.Result, rep.Removed, dirs[:1], err)
	}
	if warn := strings.Join(rep.Warnings, " "); !strings.Contains(warn, "free space") {
		t.Errorf("warnings %q lack that nobody knows the free space", rep.Warnings)
	}
	if all, err := os.ReadDir(path); err != nil || len(all) != 1203 {
		t.Errorf("%d directories are left, %v", len(all), err)
	}
}

// cutAtFirstPart gives a context that ends when the first part is on its way: not
// half of the dump can have been read by then, for want of memory.
func cutAtFirstPart(t *testing.T, c *s3target.Config) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c.Memory = 30 << 20
	var sent atomic.Int64
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &countingConn{conn, func(n int) {
			if sent.Add(int64(n)) > 1<<20 {
				cancel()
			}
		}}, err
	}
	return ctx
}

// countingConn tells how much is written to it.
type countingConn struct {
	net.Conn
	wrote func(n int)
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.wrote(n)
	return n, err
}

// A dump that is cut short by the deadline is made an object all the same, under
// the name of a partial one.
func TestCapturePartial(t *testing.T) {
	s := s3d.Start(t, false)
	c, path := config(t, s)
	ctx := cutAtFirstPart(t, &c)
	rep, dir, err := run(t, ctx, connect(t, c), path, nil)
	if err == nil || rep.Result != capture.Partial {
		t.Fatalf("%s, %v", rep.Result, err)
	}
	if got, want := names(t, dir), "README.txt capture.log report.json vmcore-dmesg.txt vmcore-partial"; got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	opens(t, filepath.Join(dir, capture.PartialName), rep)
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}
