package debian

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Unpack writes those files of a .deb below dir whose path, such as
// boot/vmlinuz-6.1.0, begins with one of the prefixes. Nothing is installed and
// no script of the package runs; nothing can land outside dir.
func Unpack(ctx context.Context, deb, dir string, prefixes ...string) error {
	cmd := command(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("debian: unpack %s: %w", deb, err)
	}
	err = untar(out, dir, prefixes)
	if err != nil {
		_ = cmd.Cancel()
	}
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("debian: unpack %s: %w", deb, err)
	}
	return nil
}

// untar writes directories, files and symbolic links. It reads r to its end.
func untar(r io.Reader, dir string, prefixes []string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	found := false
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path.Clean(h.Name), "./")
		if !hasAnyPrefix(name, prefixes) {
			continue
		}
		if err := untarOne(root, name, h, tr); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return fmt.Errorf("nothing below %s in the package: %w", strings.Join(prefixes, ", "), fs.ErrNotExist)
	}
	_, err = io.Copy(io.Discard, r) // what pads the archive
	return err
}

func untarOne(root *os.Root, name string, h *tar.Header, r io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	return fmt.Errorf("%s is of the type %q, which no kernel package holds", name, h.Typeflag)
}

func hasAnyPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
