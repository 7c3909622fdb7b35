package s3target_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/capture/target/s3target"
	"github.com/gokdump/gokdump/capture/target/targettest/s3d"
)

func smallFiles() []string {
	return []string{capture.LogName, capture.ReportName, capture.ReadmeName, capture.CaptureLogName}
}

// presigned makes URLs for a dump of so many bytes, and the configuration that has
// nothing else.
func presigned(t *testing.T, s *s3d.Server, size int64) (s3target.Config, string) {
	t.Helper()
	c, path := config(t, s)
	p, err := c.Presign(t.Context(), s3target.Wish{
		Dump: capture.DumpName, Partial: capture.PartialName, Small: smallFiles(), Size: size, Valid: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(p.Expires()); left < 50*time.Minute || left > time.Hour {
		t.Errorf("they end in %v", left)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = s3target.ParsePresigned(text); err != nil {
		t.Fatal(err)
	}
	return s3target.Config{Presigned: p, CA: s.CA, Timeout: 20 * time.Second, Patience: 5 * time.Second}, path
}

// A capture with nothing but URLs. They serve once.
func TestCapturePresigned(t *testing.T) {
	s := s3d.Start(t, true)
	c, path := presigned(t, s, 200<<20)
	rep, _, err := run(t, t.Context(), connect(t, c), path, func(cfg *capture.Config) { cfg.Keep.Dumps = 1 })
	if err != nil || rep.Result != capture.Complete {
		t.Fatalf("%s, %v", rep.Result, err)
	}
	if warn := strings.Join(rep.Warnings, " "); !strings.Contains(warn, "cannot list") {
		t.Errorf("warnings %q lack that old dumps stay", rep.Warnings)
	}
	if got, want := names(t, path), "README.txt capture.log report.json vmcore vmcore-dmesg.txt"; got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	opens(t, filepath.Join(path, capture.DumpName), rep)
	before, err := os.ReadFile(filepath.Join(path, capture.ReportName))
	if err != nil {
		t.Fatal(err)
	}
	if rep, _, err := run(t, t.Context(), connect(t, c), path, nil); err == nil || rep.Result != capture.Failed {
		t.Errorf("a second capture: %s, %v", rep.Result, err)
	}
	if after, _ := os.ReadFile(filepath.Join(path, capture.ReportName)); string(after) != string(before) {
		t.Error("the second capture replaced the first one's report")
	}
}

// Fewer parts than the dump needs make it a partial one.
func TestCapturePresignedFewParts(t *testing.T) {
	s := s3d.Start(t, false)
	c, path := presigned(t, s, 15<<20)
	c.Memory = 30 << 20
	rep, _, err := run(t, t.Context(), connect(t, c), path, nil)
	if err == nil || rep.Result != capture.Partial {
		t.Fatalf("%s, %v", rep.Result, err)
	}
	if got, want := names(t, path), "README.txt capture.log report.json vmcore-dmesg.txt vmcore-partial"; got != want {
		t.Errorf("files are %q, want %q", got, want)
	}
	opens(t, filepath.Join(path, capture.PartialName), rep)
}

func TestPresignedRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":   "presigned",
		"{}": "no objects",
		`{"objects":{"../x":{"put":"https://h"}}}`:  "plain file name",
		`{"objects":{"x":{}}}`:                      "neither",
		`{"objects":{"x":{"parts":["https://h"]}}}`: "complete",
		`{"objects":{"x":{"put":"secret"}}}`:        "no URL",
	} {
		if _, err := s3target.ParsePresigned([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	old := `{"objects":{"x":{"put":"https://h/x?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60"}}}`
	p, err := s3target.ParsePresigned([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	if err := (s3target.Config{Presigned: p}).Check(); err == nil || !strings.Contains(err.Error(), "2020-01-01T00:01:00Z") {
		t.Errorf("%v", err)
	}
	p, err = s3target.ParsePresigned([]byte(strings.Replace(old, "2020", "2999", 1)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := connect(t, s3target.Config{Presigned: p}).Create("other")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an object of which there is no URL: %v", err)
	}
}

func FuzzParsePresigned(f *testing.F) {
	f.Add([]byte(`{"objects":{"vmcore":{"parts":["https://h/?a"],"complete":"https://h"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := s3target.ParsePresigned(text); err == nil {
			p.Expires()
		}
	})
}
