package dump

import (
	"bytes"
	"fmt"
	"sync"
	"syscall"
)

// memFile is an Output in memory, on a disk of so many blocks.
type memFile struct {
	mu    sync.Mutex
	data  []byte
	have  map[int64]bool // blocks that are allocated
	room  int            // blocks; -1 for as many as wanted
	fresh bool           // as a file system that never writes in place

	failAt   func(off int64) error // of WriteAt, if not nil
	syncErr  error
	syncs    int
	signedAt int // syncs before the signature came; -1 before that
}

const diskBlock = 512

func newMemFile(room int) *memFile {
	return &memFile{have: map[int64]bool{}, room: room, signedAt: -1}
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failAt != nil {
		if err := f.failAt(off); err != nil {
			return 0, err
		}
	}
	n := len(p)
	var err error
	for b := off / diskBlock; b*diskBlock < off+int64(len(p)); b++ {
		full := f.room >= 0 && len(f.have) >= f.room
		if full && (f.fresh || !f.have[b]) {
			n, err = int(max(0, b*diskBlock-off)), syscall.ENOSPC
			break
		}
		f.have[b] = true
	}
	if end := off + int64(n); end > int64(len(f.data)) && n > 0 {
		f.data = append(f.data, make([]byte, end-int64(len(f.data)))...)
	}
	copy(f.data[min(off, int64(len(f.data))):], p[:n])
	if f.signedAt < 0 && bytes.HasPrefix(f.data, []byte("KDUMP   ")) {
		f.signedAt = f.syncs
	}
	if err != nil {
		return n, fmt.Errorf("fake disk: %w", err)
	}
	return n, nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *memFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size <= int64(len(f.data)) {
		f.data = f.data[:size:size]
	} else {
		f.data = append(f.data, make([]byte, size-int64(len(f.data)))...)
	}
	for b := range f.have {
		if b*diskBlock >= size {
			delete(f.have, b)
		}
	}
	return nil
}

func (f *memFile) Sync() error { f.syncs++; return f.syncErr }

func (f *memFile) Free() (uint64, error) { return uint64(f.room-len(f.have)) * diskBlock, nil }
