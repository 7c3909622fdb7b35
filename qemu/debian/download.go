package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Download puts the package's .deb file into dir, which it makes, and returns its
// path. A file that is there already and hashes to what apt's lists say is left
// as it is. The file appears under its name only when it is whole and verified. What
// has come so far goes to progress, a line each second.
func (p Package) Download(ctx context.Context, dir string, progress io.Writer) (string, error) {
	// apt writes an epoch's colon as %3a in the name of a file that it saves; the
	// archive leaves the epoch out. The archive's name is ours.
	name := filepath.Join(dir, filepath.Base(p.Filename))
	if err := p.verify(name); err == nil {
		return name, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("debian: download %s: %w", p.Name, err)
	}
	tmp, err := os.MkdirTemp(dir, "part-")
	if err != nil {
		return "", fmt.Errorf("debian: download %s: %w", p.Name, err)
	}
	defer os.RemoveAll(tmp)
	defer p.watch(tmp, progress)()
	// As root, apt hands the download to a user of its own, who cannot write
	// into a home; what it fetched is verified below all the same.
	args := append(p.suite.options(), "-qq", "-o", "APT::Sandbox::User=root", "download", p.Name+"="+p.Version)
	if _, err := run(ctx, tmp, "apt-get", args...); err != nil {
		if notFound.MatchString(err.Error()) {
			err = errors.Join(ErrGone, err)
		}
		return "", fmt.Errorf("debian: download: %w", err)
	}
	got, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(got) != 1 {
		return "", fmt.Errorf("debian: download %s: apt left %d files, %v", p.Name, len(got), err)
	}
	if err := p.verify(got[0]); err != nil {
		return "", err
	}
	if err := os.Rename(got[0], name); err != nil {
		return "", fmt.Errorf("debian: download %s: %w", p.Name, err)
	}
	return name, nil
}

// ErrGone says that an archive lists a package and does not have it: old versions go
// before the lists do.
var ErrGone = errors.New("listed, but not in the archive")

// notFound is apt's complaint about a file that the archive does not have.
var notFound = regexp.MustCompile(`E: Failed to fetch .*  404  Not Found`)

// watch reports the size of what is in dir each second until the returned function
// is called.
func (p Package) watch(dir string, progress io.Writer) (stop func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			var have int64
			files, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() {
					have += st.Size()
				}
			}
			fmt.Fprintf(progress, "getting %s: %d of %d MB\n", p.Name, have/1e6, p.Size/1e6)
		}
	}()
	return func() { close(quit); <-gone }
}

// verify compares a file with the hash in apt's lists.
func (p Package) verify(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("debian: verify: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("debian: verify %s: %w", file, err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != p.SHA256 {
		return fmt.Errorf("debian: %s has the SHA-256 %s, but apt's list says %s", file, sum, p.SHA256)
	}
	return nil
}
