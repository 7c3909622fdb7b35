package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gokdump/gokdump/capture"
	"github.com/gokdump/gokdump/qemu"
)

// Left is what one crash left in its directory.
type Left struct {
	// Dir is the copy on the host, Name the directory's name on the disk.
	Dir, Name string
	// Report is report.json, nil if there is none.
	Report *capture.Report
}

// Left copies the dumps off the disk without mounting it, in the order of their
// names. A file system that is unsound, or was not unmounted in good order, is an
// error.
func (o *Outcome) Left(ctx context.Context) ([]Left, error) {
	if err := qemu.CheckExt4(ctx, o.Disk); err != nil {
		return nil, err
	}
	to := filepath.Join(filepath.Dir(o.Disk), "disk")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	if err := qemu.Extract(ctx, o.Disk, to); err != nil {
		return nil, err
	}
	crashes := o.CrashDir
	if crashes == "" {
		crashes = CrashDir
	}
	return LeftIn(to + crashes)
}

// LeftIn gives the dumps in a directory of the host, in the order of their names;
// none if it does not exist.
func LeftIn(dir string) ([]Left, error) {
	dirs, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var all []Left
	for _, d := range dirs {
		if !d.IsDir() { // kdump-tools keeps a lock there
			continue
		}
		l := Left{Dir: filepath.Join(dir, d.Name()), Name: d.Name()}
		b, err := os.ReadFile(l.Path(capture.ReportName))
		if err == nil {
			l.Report = new(capture.Report)
			err = json.Unmarshal(b, l.Report)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("lab: report of %s: %w", d.Name(), err)
		}
		all = append(all, l)
	}
	return all, nil
}

// Path is a file of the directory.
func (l *Left) Path(name string) string { return filepath.Join(l.Dir, name) }

// Text is a file's contents, empty if it cannot be read.
func (l *Left) Text(name string) string {
	b, err := os.ReadFile(l.Path(name))
	if err != nil {
		return ""
	}
	return string(b)
}

// Names are the files of the directory, sorted.
func (l *Left) Names() []string {
	entries, err := os.ReadDir(l.Dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
