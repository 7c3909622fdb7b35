package target_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gokdump/gokdump/capture/target"
	"github.com/gokdump/gokdump/capture/target/targettest"
)

func TestDir(t *testing.T) {
	targettest.Suite(t, func(t *testing.T) (target.Target, fs.FS) {
		path := filepath.Join(t.TempDir(), "var", "crash")
		d, err := target.NewDir(path)
		if err != nil {
			t.Fatal(err)
		}
		return d, os.DirFS(path)
	})
}

func newDir(t *testing.T) (*target.Dir, string) {
	t.Helper()
	path := t.TempDir()
	d, err := target.NewDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, path
}

func put(t *testing.T, d *target.Dir, name, text string) target.File {
	t.Helper()
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Abandon() })
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v, want %q", path, got, err, want)
	}
}

func TestNewDirModes(t *testing.T) {
	old := t.TempDir()
	if err := os.Chmod(old, 0o755); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(old, "a", "b")
	d, err := target.NewDir(made)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for path, want := range map[string]fs.FileMode{old: 0o755, filepath.Dir(made): 0o700, made: 0o700} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, fi.Mode(), err, want)
		}
	}
	if d.String() != made {
		t.Errorf("String = %q", d)
	}
}

func TestNewDirOnFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "sub")} {
		if _, err := target.NewDir(path); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("NewDir(%s): %v, want ENOTDIR", path, err)
		}
	}
}

func TestOverwrite(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "f", "left over").Abandon()
	if err := os.WriteFile(filepath.Join(path, "f"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.Overwrite = true
	f := put(t, d, "f", "new")
	wantFile(t, filepath.Join(path, "f"), "old") // until Commit
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(path, "f"), "new")
}

// Somebody takes the name while the dump is being written.
func TestCommitLosesRace(t *testing.T) {
	d, path := newDir(t)
	f := put(t, d, "f", "ours")
	if err := os.WriteFile(filepath.Join(path, "f"), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Commit over a file: %v, want one that wraps ErrExist", err)
	}
	wantFile(t, filepath.Join(path, "f"), "theirs")
	wantFile(t, filepath.Join(path, "f"+target.Incomplete), "ours")
}

func TestCommitWithoutFile(t *testing.T) {
	d, path := newDir(t)
	f := put(t, d, "f", "x")
	if err := os.Remove(filepath.Join(path, "f"+target.Incomplete)); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Commit of a removed file: %v", err)
	}
	if f.Name() != "f"+target.Incomplete {
		t.Errorf("Name = %q after a failed Commit", f.Name())
	}
}

func TestNoSymlink(t *testing.T) {
	d, path := newDir(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, overwrite := range []bool{false, true} {
		d.Overwrite = overwrite
		if err := os.Symlink(victim, filepath.Join(path, "f"+target.Incomplete)); err != nil {
			t.Fatal(err)
		}
		f, err := d.Create("f")
		if !overwrite {
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("Create over a link: %v", err)
			}
			os.Remove(filepath.Join(path, "f"+target.Incomplete))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte("x"))
		f.Abandon()
	}
	wantFile(t, victim, "precious")
}
