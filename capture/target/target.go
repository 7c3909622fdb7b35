// Package target is where the bytes of a capture go: a directory on a mounted
// file system or on the host.
//
// The package owns names, permissions, durability and the bound on dirty page
// cache. A file is NAME.incomplete until it is proven whole and committed; only
// then does it carry its name. The package never looks at what it stores, never
// mounts anything, and deletes what a capture saved only when it is told to, name by
// name ([Past]). Facts: open(2),
// rename(2), fsync(2), sync_file_range(2), posix_fadvise(2).
//
// Every target must pass the suite in targettest.
package target

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Incomplete is what follows a file's name until Commit.
const Incomplete = ".incomplete"

// ErrName is wrapped by the error of Create for a name that is not one plain
// path element, or that ends in [Incomplete].
var ErrName = errors.New("not a plain file name")

// Target is a place for files. Its methods may be called from several goroutines.
//
// Errors of a target and its files wrap the system's own, so that
// errors.Is(err, syscall.ENOSPC), EROFS and EIO tell what happened.
type Target interface {
	// String names the target for people: a path, a URL.
	String() string
	// Create starts the file NAME as NAME.incomplete, readable by its owner
	// only. It returns an error that wraps fs.ErrExist when NAME or
	// NAME.incomplete is there already, and one that wraps [ErrName] for a bad
	// name.
	Create(name string) (File, error)
	// Sub makes the directory NAME and returns it as a target of its own, to be
	// closed by itself. It returns an error that wraps fs.ErrExist when the name
	// is taken, and one that wraps [ErrName] for a bad name.
	Sub(name string) (Target, error)
	// Free is the number of bytes that the target can still take from an
	// ordinary user.
	Free() (uint64, error)
	// Close gives the target's resources back. All files must be committed or
	// abandoned before.
	Close() error
}

// File is a file on its way to a target. WriteAt and ReadAt may be called from
// several goroutines, also at the same time; the rest from one at a time.
// After Commit or Abandon everything but Name and Size returns an error that
// wraps fs.ErrClosed.
type File interface {
	// Write puts p where the last Write ended, from the start of the file. It
	// takes no notice of WriteAt.
	io.Writer
	// WriteAt puts p at a byte offset; a gap before it reads as zeros.
	io.WriterAt
	// ReadAt reads back what was written.
	io.ReaderAt
	// Truncate sets the size in bytes.
	Truncate(size int64) error
	// Sync returns when all that was written is on stable storage. It also
	// returns an error that an earlier write back met.
	Sync() error
	// Commit makes the file durable, gives it its name and makes the name
	// durable. On an error NAME.incomplete stays and NAME is not touched,
	// unless only the last step failed: then NAME is there, whole, but may not
	// outlive a power cut. The file is closed in any case.
	Commit() error
	// CommitAs is Commit under another name than the one of Create, for a file
	// that turned out to be something else: a partial dump.
	CommitAs(name string) error
	// Abandon closes the file; NAME.incomplete stays as evidence. After Commit
	// it does nothing and returns nil, so it may be deferred.
	Abandon() error
	// Size is the file's size in bytes.
	Size() int64
	// Name is the name that the file has now, without a directory.
	Name() string
}

// CheckName refuses with an error that wraps [ErrName] what could leave the target's directory or be mistaken for
// an unfinished file.
func CheckName(name string) error {
	const maxName = 255 - len(Incomplete) // NAME_MAX of Linux file systems
	switch {
	case name == "", name == ".", name == "..",
		strings.ContainsAny(name, "/\x00"),
		strings.HasSuffix(name, Incomplete):
		return fmt.Errorf("%q: %w", name, ErrName)
	case len(name) > maxName:
		return fmt.Errorf("%.20q...: %w: %d bytes, %d are possible", name, ErrName, len(name), maxName)
	}
	return nil
}
