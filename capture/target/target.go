// Package target is where the bytes of a capture go: a directory on a mounted
// file system or on the host. Its sub-packages are the places that are reached
// over a network without a mount.
//
// The package owns names, permissions, durability and the bound on dirty page
// cache. A file is NAME.incomplete until it is proven whole and committed; only
// then does it carry its name. The package never looks at what it stores, never
// mounts anything, and deletes what a capture saved only when it is told to, name by
// name ([Past]). Facts: open(2), rename(2), fsync(2), sync_file_range(2),
// posix_fadvise(2).
//
// Every target must pass the suite in targettest. Not every place can do all
// that a disk can; what it cannot is said by [Sequential] and by errors that
// wrap errors.ErrUnsupported, never by silence.
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
	// ordinary user. Where that cannot be known, the error wraps
	// errors.ErrUnsupported.
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

// Sequential is a Target whose files can be written from front to back only. Of
// such a file, WriteAt at any place but the end, ReadAt, and Truncate to any but
// the present size return errors that wrap errors.ErrUnsupported. A dump goes
// there as a flattened stream.
type Sequential interface {
	Target
	// Sequential tells whether it is so.
	Sequential() bool
}

// IsSequential tells whether t is a [Sequential] target that says so.
func IsSequential(t Target) bool {
	s, ok := t.(Sequential)
	return ok && s.Sequential()
}

// Warner is a Target that has met things that did not stop it, and that people
// should know of all the same: a server that cannot sync, a connection that was
// lost and made again.
type Warner interface {
	Target
	// Warnings gives them, one line each, in the order in which they were met.
	Warnings() []string
}

// Prover is a File that cannot be read back and whose Commit proves in another
// way that the target has what was written.
type Prover interface {
	File
	// Proof says how, as the object of "confirmed by": checksums of the server.
	// It is empty when the file can be read back, or when nothing is proven.
	Proof() string
}

// CheckName returns an error that wraps [ErrName] for a name that could leave the
// target's directory or be mistaken for an unfinished file.
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
