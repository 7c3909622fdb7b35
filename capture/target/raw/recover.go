package raw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gokdump/gokdump/capture/target"
	"golang.org/x/sys/unix"
)

// Damaged follows the name of a file whose checksum is wrong.
const Damaged = ".damaged"

// recovering precedes the name of a directory that is being copied; a later recovery
// starts it anew.
const recovering = ".recovering-"

// Recovered tells what [Recover] did.
type Recovered struct {
	// Dirs are the new directories' paths.
	Dirs []string
	// Files and Bytes count what was copied.
	Files int
	Bytes int64
	// Damaged are the files whose checksum was wrong.
	Damaged []string
}

// Recover copies the dumps on the device at path into dir, which is made if need be,
// and then marks them as recovered. Each directory appears with its name when it is
// whole and on the disk; a file that was never finished keeps the name that says so. A
// recovery that is cut short is made good by the next one. With nothing to recover the
// result is zero. Where there is too little room, nothing is copied.
func Recover(ctx context.Context, device, dir string) (Recovered, error) {
	var done Recovered
	r, err := NewReader(device)
	if errors.Is(err, ErrNone) {
		return done, nil
	}
	if err != nil {
		return done, err
	}
	defer r.Close()
	if r.Recovered() || len(r.Files()) == 0 {
		return done, nil
	}
	fail := func(err error) (Recovered, error) {
		return done, fmt.Errorf("recover the dumps on %s into %s: %w", device, dir, err)
	}
	to, err := target.NewDir(dir)
	if err != nil {
		return fail(err)
	}
	defer to.Close()
	var need uint64
	for _, f := range r.Files() {
		need += uint64(f.Size)
	}
	if free, err := to.Free(); err == nil && free < need {
		return fail(fmt.Errorf("%w: %d MiB are needed, %d MiB are free", unix.ENOSPC, need>>20, free>>20))
	}
	for _, name := range append(r.Dirs(), "") {
		if err := r.copyDir(ctx, to, dir, name, &done); err != nil {
			return fail(err)
		}
	}
	if err := markRecovered(device, r.h.seq); err != nil {
		return fail(err)
	}
	return done, nil
}

// copyDir copies one directory; "" stands for what lies in none.
func (r *Reader) copyDir(ctx context.Context, to *target.Dir, dir, name string, done *Recovered) error {
	var files []File
	for _, f := range r.Files() {
		if in := path.Dir(f.Name); in == name || in == "." && name == "" {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil
	}
	if name == "" {
		name = "loose-files"
	}
	if strings.Contains(name, "/") {
		return fmt.Errorf("a directory in a directory: %q", name)
	}
	tmp := recovering + name
	if err := os.RemoveAll(filepath.Join(dir, tmp)); err != nil {
		return err
	}
	sub, err := to.Sub(tmp)
	if err != nil {
		return err
	}
	defer sub.Close()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.copyTo(sub, filepath.Join(dir, tmp), done); err != nil {
			return err
		}
	}
	final := filepath.Join(dir, name)
	for i := 2; ; i++ {
		if _, err := os.Lstat(final); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		if same(final, filepath.Join(dir, tmp)) { // the power went before it was marked
			return os.RemoveAll(filepath.Join(dir, tmp))
		}
		final = filepath.Join(dir, fmt.Sprintf("%s-%d", name, i))
	}
	if err := os.Rename(filepath.Join(dir, tmp), final); err != nil {
		return err
	}
	done.Dirs = append(done.Dirs, final)
	return syncPath(dir)
}

// copyTo writes the file into sub, which lies at at.
func (f File) copyTo(sub target.Target, at string, done *Recovered) error {
	name := strings.TrimSuffix(path.Base(f.Name), target.Incomplete)
	out, err := sub.Create(name)
	if err != nil {
		return err
	}
	defer out.Abandon()
	n, err := f.WriteTo(onlyWriter{out})
	done.Files, done.Bytes = done.Files+1, done.Bytes+n
	final := name
	switch {
	case errors.Is(err, ErrSum):
		final = name + Damaged
		done.Damaged = append(done.Damaged, f.Name)
	case err != nil:
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if f.Complete {
		err = out.CommitAs(final)
	} else {
		final = name + target.Incomplete
		err = errors.Join(out.Sync(), out.Abandon())
	}
	if err != nil {
		return err
	}
	return os.Chtimes(filepath.Join(at, final), f.Time, f.Time)
}

// onlyWriter hides all methods but one, so that io.Copy uses that.
type onlyWriter struct{ io.Writer }

// same tells whether two directories hold files of the same names and sizes.
func same(a, b string) bool {
	list := func(dir string) string {
		var s strings.Builder
		entries, err := os.ReadDir(dir)
		if err != nil {
			return dir // equal to no other
		}
		for _, e := range entries {
			if st, err := e.Info(); err == nil {
				fmt.Fprintf(&s, "%q %d %d\n", e.Name(), st.Size(), st.ModTime().Unix())
			}
		}
		return s.String()
	}
	return list(a) == list(b)
}

func syncPath(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// markRecovered says that all that table seq speaks of lies elsewhere. A table that is
// newer than that means a dump that came meanwhile, which cannot be.
func markRecovered(path string, seq uint64) error {
	f, size, err := openDevice(path, true)
	if err != nil {
		return err
	}
	defer f.Close()
	d := &device{path: path, f: f}
	b := make([]byte, superSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return err
	}
	s, ours, err := parseSuper(b, size)
	if err != nil || !ours {
		return errors.Join(ErrForeign, err)
	}
	t, err := readTables(f, s)
	if err != nil {
		return err
	}
	if t.seq != seq {
		return fmt.Errorf("%w: it changed during the recovery", ErrDamaged)
	}
	t.Recovered = true
	return d.writeTable(t)
}
