package target

import (
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// round is how many bytes are written between two hand-overs to the disk. At
// most two rounds are dirty or under way; more buys no speed on the disks that
// take dumps, and a crash kernel may have no more than 20 MiB to spare.
const round = 4 << 20

// underWay bounds what is dirty at any time: two rounds, and what the writers add while
// one of them waits.
const underWay = 4 * round

// WriteBehind bounds the dirty page cache of a file. The zero value is ready.
type WriteBehind struct {
	written atomic.Int64
	mu      sync.Mutex // one round at a time; who writes meanwhile waits here
	off     atomic.Bool
}

// Wrote counts n more bytes, and for each full round starts the write back of
// all that is dirty, after waiting for what the last round started, and drops
// what is clean from the page cache.
func (b *WriteBehind) Wrote(f *os.File, n int) error {
	now := b.written.Add(int64(n))
	if now/round == (now-int64(n))/round || b.off.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	fd := int(f.Fd())
	// The whole file, not the part just written: descriptors lie far before the
	// data, and a slow goroutine may write behind a fast one. Clean pages cost
	// nothing here, and there are few dirty ones.
	err := retry(func() error {
		return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE)
	})
	switch err {
	case nil:
	case unix.ENOSYS, unix.EINVAL, unix.ESPIPE, unix.ENOTSUP:
		b.off.Store(true) // an odd file system: the kernel's own limits must do
		return nil
	default:
		return err
	}
	// Only advice: nothing depends on it being taken.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	return nil
}
