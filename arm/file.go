package arm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// File is a file as it was when it was read.
type File struct {
	// Path is absolute.
	Path string `json:"path"`
	// Size is in bytes; -1 says that there was no such file.
	Size int64 `json:"size"`
	// ModTime is the time of the last change.
	ModTime time.Time `json:"mtime,omitzero"`
	// SHA256 is the digest of the content in hex; "" if there was no file.
	SHA256 string `json:"sha256,omitempty"`
}

// maxFile bounds kernels and images, in bytes; the system call takes less than
// 2 GiB on every kernel.
const maxFile = 2<<30 - 1

// openFile opens a regular file and reads it once for its digest.
func openFile(ctx context.Context, path string) (*os.File, File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, File{}, err
	}
	// Without O_NONBLOCK the open of a FIFO would wait for a writer.
	f, err := os.OpenFile(abs, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, File{}, err
	}
	info, err := digest(ctx, f)
	if err != nil {
		f.Close()
		return nil, File{}, fmt.Errorf("%s: %w", abs, err)
	}
	info.Path = abs
	return f, info, nil
}

// digest reads f from its start; f stays open and its offset is as before.
func digest(ctx context.Context, f *os.File) (File, error) {
	fi, err := f.Stat()
	switch {
	case err != nil:
		return File{}, err
	case !fi.Mode().IsRegular():
		return File{}, errors.New("not a regular file")
	case fi.Size() > maxFile:
		return File{}, fmt.Errorf("%d bytes, which no kexec call takes (limit %d)", fi.Size(), int64(maxFile))
	}
	sum := sha256.New()
	buf := make([]byte, 1<<20)
	r := io.NewSectionReader(f, 0, maxFile)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		n, err := r.Read(buf)
		sum.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return File{}, err
		}
	}
	return File{
		Size:    size,
		ModTime: fi.ModTime().UTC(),
		SHA256:  hex.EncodeToString(sum.Sum(nil)),
	}, nil
}

// describe gives a file as it is now, or as missing.
func describe(ctx context.Context, path string) (File, error) {
	f, info, err := openFile(ctx, path)
	if missing(err) {
		abs, err := filepath.Abs(path)
		return File{Path: abs, Size: -1}, err
	}
	if err != nil {
		return File{}, err
	}
	return info, f.Close()
}

// change says how the file differs from what it was; "" when it does not.
func (f File) change(ctx context.Context) string {
	now, err := describe(ctx, f.Path)
	switch {
	case err != nil:
		return "cannot be read: " + err.Error()
	case now.Size < 0 && f.Size < 0:
		return ""
	case now.Size < 0:
		return "is gone"
	case f.Size < 0:
		return "is new"
	case now.SHA256 != f.SHA256:
		return "has changed"
	}
	return ""
}
