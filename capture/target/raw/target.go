package raw

import (
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/gokdump/gokdump/capture/target"
	"golang.org/x/sys/unix"
)

// Target is an open device. Its directories are targets as well, and share it.
type Target struct {
	*device
	dir string // "" at the top
}

var _ target.Target = (*Target)(nil)

// device is what all targets and files on it share.
type device struct {
	path   string
	now    func() time.Time
	behind target.WriteBehind

	mu   sync.Mutex // over all below, and the order of tables
	f    *os.File
	open int // targets that are not closed
	s    super
	t    *table
	used []uint64 // a bit for each chunk
}

// Open takes the device at path for dumps, and makes it ours when it is blank. What is
// on it and was not recovered stays. The error wraps [ErrForeign] when it holds
// something else.
func Open(path string) (*Target, error) {
	f, size, err := openDevice(path, true)
	if err != nil {
		return nil, fmt.Errorf("raw device: %w", err)
	}
	d := &device{path: path, now: time.Now, f: f, open: 1}
	if err := d.start(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("raw device %s: %w", path, err)
	}
	return &Target{device: d}, nil
}

func (d *device) start(size int64) error {
	h, err := readHeader(d.f, size, d.now())
	if err != nil {
		return err
	}
	d.s, d.t = h.super, h.table
	if h.Recovered { // its files are elsewhere by now
		d.t = &table{seq: h.seq}
		// The superblock comes last: without it, what a power cut leaves is foreign.
		if err := d.writeTable(d.t); err != nil {
			return err
		}
	}
	if h.blank {
		if _, err := d.f.WriteAt(d.s.marshal(), 0); err != nil {
			return fmt.Errorf("write the superblock: %w", err)
		}
		if err := d.f.Sync(); err != nil {
			return fmt.Errorf("write the superblock: %w", err)
		}
	}
	d.used = make([]uint64, (d.s.chunks()+63)/64)
	for _, f := range d.t.Files {
		for _, e := range f.Extents {
			for c := e[0]; c < e[0]+e[1]; c++ {
				d.used[c/64] |= 1 << (c % 64)
			}
		}
	}
	return nil
}

// writeTable makes t the table that counts. All that it speaks of must be on the disk.
func (d *device) writeTable(t *table) error {
	t.seq++
	b, err := t.marshal()
	if err != nil {
		return err
	}
	if _, err := d.f.WriteAt(b, tableA+int64(t.seq%2)*tableSize); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	if err := d.f.Sync(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// change writes the table as do leaves it; on an error nothing has changed but the
// number.
func (d *device) change(do func(t *table)) error {
	t := &table{seq: d.t.seq, Dirs: slices.Clone(d.t.Dirs), Files: slices.Clone(d.t.Files)}
	do(t)
	err := d.writeTable(t)
	if err != nil {
		d.t.seq = t.seq
		return err
	}
	d.t = t
	return nil
}

// taken tells whether a name is in use, whole or not.
func (d *device) taken(name string) bool {
	is := func(e entry) bool { return e.Name == name }
	return slices.ContainsFunc(d.t.Files, is) || slices.ContainsFunc(d.t.Dirs, is)
}

// String is the device's path, and the directory's.
func (t *Target) String() string {
	if t.dir == "" {
		return t.path
	}
	return t.path + ":" + t.dir
}

// Create starts a file.
func (t *Target) Create(name string) (target.File, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("create %w", err)
	}
	full := path.Join(t.dir, name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken(full) {
		return nil, t.errorf("create", full, unix.EEXIST)
	}
	e := entry{Name: full, Time: t.now().Unix()}
	if err := t.change(func(t *table) { t.Files = append(t.Files, e) }); err != nil {
		return nil, t.errorf("create", full, err)
	}
	return &file{d: t.device, dir: t.dir, name: name, key: full, wished: name}, nil
}

// Sub makes a directory.
func (t *Target) Sub(name string) (target.Target, error) {
	if err := target.CheckName(name); err != nil {
		return nil, fmt.Errorf("make directory %w", err)
	}
	full := path.Join(t.dir, name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken(full) {
		return nil, t.errorf("make directory", full, unix.EEXIST)
	}
	e := entry{Name: full, Complete: true, Time: t.now().Unix()}
	if err := t.change(func(t *table) { t.Dirs = append(t.Dirs, e) }); err != nil {
		return nil, t.errorf("make directory", full, err)
	}
	t.open++
	return &Target{device: t.device, dir: full}, nil
}

// Free is the room of the chunks that no file has.
func (t *Target) Free() (uint64, error) { return t.device.free(), nil }

func (d *device) free() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := d.s.chunks()
	for _, w := range d.used {
		free -= int64(bits.OnesCount64(w))
	}
	return uint64(free * d.s.chunk)
}

// Close closes the device with the last of its targets.
func (t *Target) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open--; t.open > 0 {
		return nil
	}
	if err := t.f.Close(); err != nil {
		return fmt.Errorf("raw device: %w", err)
	}
	return nil
}

// take gives a free chunk, near if that one is free.
func (d *device) take(near int64) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if near < d.s.chunks() && d.used[near/64]&(1<<(near%64)) == 0 {
		d.used[near/64] |= 1 << (near % 64)
		return near, nil
	}
	for i, w := range d.used {
		if b := int64(bits.TrailingZeros64(^w)); b < 64 && int64(i)*64+b < d.s.chunks() {
			d.used[i] |= 1 << b
			return int64(i)*64 + b, nil
		}
	}
	return 0, unix.ENOSPC
}

func (d *device) give(chunk int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used[chunk/64] &^= 1 << (chunk % 64)
}

func (d *device) errorf(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: d.path + ":" + name, Err: err}
}
