package targettest

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/gokdump/gokdump/capture/target"
)

func (s suite) testNoOverwrite(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	write(t, f, []byte("first"))
	if _, err := tg.Create("f"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create beside an unfinished file: %v, want one that wraps ErrExist", err)
	}
	commit(t, f)
	if _, err := tg.Create("f"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create of a committed file: %v, want one that wraps ErrExist", err)
	}
	s.holds(t, see, "f", []byte("first"))
	absent(t, see, "f"+target.Incomplete)

	g := create(t, tg, "g") // another name is not in the way
	commit(t, g)
	s.holds(t, see, "g", nil)
}

func (s suite) testCommitAs(t *testing.T, tg target.Target, see fs.FS) {
	taken := create(t, tg, "taken")
	write(t, taken, []byte("taken"))
	commit(t, taken)

	f := create(t, tg, "vmcore")
	write(t, f, []byte("some"))
	if err := f.CommitAs("../x"); !errors.Is(err, target.ErrName) {
		t.Errorf("CommitAs(../x): %v, want one that wraps ErrName", err)
	}
	if err := f.CommitAs("vmcore-partial"); err != nil {
		t.Fatalf("CommitAs: %v", err)
	}
	if f.Name() != "vmcore-partial" {
		t.Errorf("Name = %q", f.Name())
	}
	s.holds(t, see, "vmcore-partial", []byte("some"))
	absent(t, see, "vmcore")
	absent(t, see, "vmcore"+target.Incomplete)

	g := create(t, tg, "g")
	write(t, g, []byte("other"))
	if err := g.CommitAs("taken"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CommitAs a name that is taken: %v, want one that wraps ErrExist", err)
	}
	s.holds(t, see, "taken", []byte("taken"))
	s.trace(t, see, "g", []byte("other"))
}

func (s suite) testSub(t *testing.T, tg target.Target, see fs.FS) {
	sub, err := tg.Sub("host-date")
	if err != nil {
		t.Fatalf("Sub: %v", err)
	}
	defer sub.Close()
	if sub.String() == tg.String() {
		t.Error("the directory has the name of its parent")
	}
	f := create(t, sub, "vmcore")
	write(t, f, []byte("x"))
	commit(t, f)
	s.holds(t, see, "host-date/vmcore", []byte("x"))
	if fi, err := fs.Stat(see, "host-date"); err != nil || !fi.IsDir() || !s.lacks.has(Modes) && fi.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v, want mode 0700", fi, err)
	}
	if _, err := tg.Sub("host-date"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Sub again: %v, want one that wraps ErrExist", err)
	}
	for _, name := range []string{"", ".", "..", "a/b"} {
		if _, err := tg.Sub(name); !errors.Is(err, target.ErrName) {
			t.Errorf("Sub(%q): %v, want one that wraps ErrName", name, err)
		}
	}
}

func (s suite) testBadNames(t *testing.T, tg target.Target, see fs.FS) {
	long := string(bytes.Repeat([]byte("x"), 250))
	for _, name := range []string{"", ".", "..", "a/b", "../a", "/a", "a\x00b", "a" + target.Incomplete, long} {
		if f, err := tg.Create(name); !errors.Is(err, target.ErrName) {
			t.Errorf("Create(%q): %v, want one that wraps ErrName", name, err)
			if err == nil {
				f.Abandon()
			}
		}
	}
	if all, err := fs.ReadDir(see, "."); err != nil || len(all) != 0 {
		t.Errorf("%d names appeared, %v", len(all), err)
	}
}

func (s suite) testAfterEnd(t *testing.T, tg target.Target, see fs.FS) {
	f := create(t, tg, "f")
	write(t, f, []byte("whole"))
	commit(t, f)
	p := []byte("x")
	for name, do := range map[string]func() error{
		"Write":    func() error { _, err := f.Write(p); return err },
		"WriteAt":  func() error { _, err := f.WriteAt(p, 0); return err },
		"ReadAt":   func() error { _, err := f.ReadAt(p, 0); return err },
		"Truncate": func() error { return f.Truncate(0) },
		"Sync":     f.Sync,
		"Commit":   f.Commit,
	} {
		if err := do(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Commit: %v, want one that wraps ErrClosed", name, err)
		}
	}
	s.holds(t, see, "f", []byte("whole"))
}
