package arm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// The last good pair lies in /var/lib/gokdump/last-good as pair.json and two
// copies named by their digests. pair.json is written last, so that a crash in
// between leaves the older pair whole. Copies, not hard links: a link would
// change with a file that is overwritten in place. (Where the file system can,
// a copy shares its blocks.)
const (
	lastGoodDir = stateDir + "/last-good"
	pairFile    = "pair.json"
)

func kernelCopy(r *Record) string { return "kernel-" + r.Kernel.SHA256 }
func imageCopy(r *Record) string  { return "image-" + r.Image.SHA256 }

// keep makes what r describes the last good pair. kernel and image are the files
// that were loaded.
func (h *Host) keep(ctx context.Context, r *Record, kernel, image *os.File) error {
	dir := h.path(lastGoodDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		from *os.File
		want File
	}{{kernelCopy(r), kernel, r.Kernel}, {imageCopy(r), image, r.Image}} {
		if err := copyFile(ctx, filepath.Join(dir, c.name), c.from, c.want); err != nil {
			return err
		}
	}
	if err := writeRecordFile(filepath.Join(dir, pairFile), r, 0o600); err != nil {
		return err
	}
	return prune(dir, r)
}

// copyFile copies from to path, unless path holds the same already.
func copyFile(ctx context.Context, path string, from *os.File, want File) error {
	if f, err := openChecked(ctx, path, want); err == nil {
		return f.Close()
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	to, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600), renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return err
	}
	defer to.Cleanup()
	n, err := io.Copy(to, from)
	if err != nil {
		return err
	}
	if n != want.Size {
		return fmt.Errorf("%s changed while it was copied: %d bytes, %d before", from.Name(), n, want.Size)
	}
	return to.CloseAtomicallyReplace()
}

// prune removes what belongs to older pairs or was left half made.
func prune(dir string, r *Record) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		switch e.Name() {
		case pairFile, kernelCopy(r), imageCopy(r):
		default:
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// pair is the last good pair, open and checked against its digests.
type pair struct {
	*Record
	kernel, image *os.File
}

func (p *pair) close() {
	p.kernel.Close()
	p.image.Close()
}

// errNoPair says that no load has worked on this machine yet.
var errNoPair = errors.New("there is no last good pair")

func (h *Host) openLastGood(ctx context.Context) (*pair, error) {
	dir := h.path(lastGoodDir)
	r, err := readRecordFile(filepath.Join(dir, pairFile))
	if missing(err) {
		return nil, errNoPair
	}
	if err != nil {
		return nil, fmt.Errorf("last good pair: %w", err)
	}
	kernel, err := openChecked(ctx, filepath.Join(dir, kernelCopy(r)), r.Kernel)
	if err != nil {
		return nil, fmt.Errorf("last good pair: %w", err)
	}
	image, err := openChecked(ctx, filepath.Join(dir, imageCopy(r)), r.Image)
	if err != nil {
		kernel.Close()
		return nil, fmt.Errorf("last good pair: %w", err)
	}
	return &pair{r, kernel, image}, nil
}

func openChecked(ctx context.Context, path string, want File) (*os.File, error) {
	f, got, err := openFile(ctx, path)
	if err != nil {
		return nil, err
	}
	if got.SHA256 != want.SHA256 {
		f.Close()
		return nil, fmt.Errorf("%s is damaged: its digest is %.12s…", path, got.SHA256)
	}
	return f, nil
}
