// Package archive writes and reads initramfs images: one newc cpio archive in
// one compression that the kernel unpacks by itself.
//
// It is the only place that knows cpio and image compression. It owns the limits of
// both: names, sizes, inode numbers, and what the kernel's decompressors take. It
// never touches the file system and never decides what is in an image.
//
// Facts: Documentation/driver-api/early-userspace/buffer-format.rst (newc),
// init/initramfs.c (what the kernel makes of it), lib/decompress*.c,
// Documentation/staging/xz.rst (CRC32 only), lz4's lz4_Frame_format.md (legacy
// frame), RFC 8878 (zstd).
package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Limits of an image, on both sides. Ours has some megabytes and some dozen files.
const (
	// MaxSize bounds an archive before compression, in bytes.
	MaxSize = 1 << 30
	// MaxFiles bounds the entries of an archive.
	MaxFiles = 1 << 16
	// maxName bounds a name in bytes; the kernel's is PATH_MAX.
	maxName = 4096
)

// File is one regular file or directory of an archive. Owner is root, times are
// zero: an image depends on nothing but its contents.
type File struct {
	// Name is relative and clean, with slashes: "modules/ext4.ko".
	Name string
	// Mode is the permission bits, and fs.ModeDir for a directory. No other
	// kind of file is written.
	Mode fs.FileMode
	// Data is the contents; none for a directory.
	Data []byte
}

// Stats says what [Write] wrote.
type Stats struct {
	// Plain and Packed are the archive's sizes in bytes before and after
	// compression.
	Plain, Packed int64
}

// prepare checks files, sorts them, and adds the directories that they lie in.
func prepare(files []File) ([]File, error) {
	if len(files) > MaxFiles {
		return nil, fmt.Errorf("archive: %d files, the limit is %d", len(files), MaxFiles)
	}
	have := map[string]bool{}
	total := int64(0)
	out := slices.Clone(files)
	for _, f := range files {
		if err := checkName(f.Name); err != nil {
			return nil, err
		}
		if kind := f.Mode.Type(); kind != 0 && kind != fs.ModeDir || f.Mode.IsDir() && len(f.Data) > 0 {
			return nil, fmt.Errorf("archive: %s: mode %v with %d bytes is neither a file nor a directory", f.Name, f.Mode, len(f.Data))
		}
		if have[f.Name] {
			return nil, fmt.Errorf("archive: %s is there twice", f.Name)
		}
		have[f.Name] = true
		total += int64(len(f.Data))
	}
	if total > MaxSize {
		return nil, fmt.Errorf("archive: %d bytes, the limit is %d", total, int64(MaxSize))
	}
	for _, f := range files {
		for dir := path.Dir(f.Name); dir != "."; dir = path.Dir(dir) {
			if !have[dir] {
				have[dir] = true
				out = append(out, File{Name: dir, Mode: fs.ModeDir | 0o755})
			}
		}
	}
	// A directory's name is a prefix of its files' names, so it comes before them.
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range out {
		if i > 0 && !out[i-1].Mode.IsDir() && strings.HasPrefix(f.Name, out[i-1].Name+"/") {
			return nil, fmt.Errorf("archive: %s is a file, but %s lies in it", out[i-1].Name, f.Name)
		}
	}
	return out, nil
}

// checkName takes the names that mean the same to every reader.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "../") || name == "..":
		return fmt.Errorf("archive: name %q is not relative and clean", name)
	case strings.ContainsRune(name, 0) || len(name) >= maxName:
		return fmt.Errorf("archive: a name of %d bytes with a NUL, or too long", len(name))
	case name == trailer:
		return errors.New("archive: a file cannot have the name of the archive's end")
	}
	return nil
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
