package arm

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gokdump/gokdump/arm/armtest"
)

// machineDir is a made-up machine of a test.
type machineDir struct {
	*armtest.Machine
	t    *testing.T
	host *Host
}

func newMachine(t *testing.T) *machineDir {
	t.Helper()
	made, err := armtest.New(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &machineDir{Machine: made, t: t, host: &Host{
		Root: made.Root, Kexec: made, Inspect: inspectText,
		Now: func() time.Time { return time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC) },
	}}
}

func (m *machineDir) path(p string) string { return filepath.Join(m.Root, p) }

func (m *machineDir) write(path, text string) {
	m.t.Helper()
	if err := m.Write(path, text); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machineDir) read(path string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.path(path))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func inspectText(_ context.Context, r io.Reader) (ImageInfo, error) {
	kernel, unpacked, err := armtest.Inspect(r)
	return ImageInfo{Kernel: kernel, Unpacked: unpacked}, err
}

func (m *machineDir) status() *Status {
	m.t.Helper()
	s, err := m.host.Status(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *machineDir) load(opt Options) *Loaded {
	m.t.Helper()
	done, err := m.host.Load(m.t.Context(), opt)
	if err != nil {
		m.t.Fatal(err)
	}
	return done
}

func (m *machineDir) loadFails(opt Options) *LoadError {
	m.t.Helper()
	_, err := m.host.Load(m.t.Context(), opt)
	var le *LoadError
	if !errors.As(err, &le) {
		m.t.Fatalf("error %v, want *LoadError", err)
	}
	return le
}

// wantState checks the state and that one of the reasons has text.
func (m *machineDir) wantState(want State, text string) {
	m.t.Helper()
	s := m.status()
	if s.State != want || !strings.Contains(strings.Join(s.Reasons, "\n"), text) {
		m.t.Errorf("state %q, reasons %q; want %q with %q", s.State, s.Reasons, want, text)
	}
	if (s.State == Armed) != (len(s.Reasons) == 0) || (s.State == Armed) != (s.Next == "") {
		m.t.Errorf("state %q with reasons %q and next step %q", s.State, s.Reasons, s.Next)
	}
}
