package nbd

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// Faults is what a disk does wrong. The zero value does all right.
type Faults struct {
	// DropFlush acknowledges flushes and makes nothing stable.
	DropFlush bool
	// FailAfter fails every write, with EIO, once so many bytes were written
	// since [Disk.Begin]; 0 means never.
	FailAfter int64
	// HangAfter answers nothing any more once so many bytes were written since
	// [Disk.Begin]; 0 means never.
	HangAfter int64
}

// Disk is an image file behind a write cache that a power cut loses.
type Disk struct {
	file   *os.File
	size   int64
	faults Faults

	mu      sync.Mutex
	pending []write // not flushed, in their order
	begun   bool
	written int64 // bytes since Begin
	flushed int   // flushes since Begin
	mark    Mark  // closes reached
	reached chan struct{}
	hang    chan struct{}
	release sync.Once
}

// Mark is a moment: when so many bytes were written, or so many flushes were
// done, whichever is first; 0 stands for never.
type Mark struct {
	Bytes   int64
	Flushes int
}

type write struct {
	off  int64
	data []byte
}

// OpenDisk opens the image at path, whose size is the disk's.
func OpenDisk(path string, f Faults) (*Disk, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("nbd: %w", err)
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("nbd: %w", err)
	}
	return &Disk{file: file, size: st.Size(), faults: f, hang: make(chan struct{})}, nil
}

// Begin starts the counts that faults wait for. The channel is closed at mark.
func (d *Disk) Begin(mark Mark) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun, d.written, d.flushed, d.mark = true, 0, 0, mark
	d.reached = make(chan struct{})
	return d.reached
}

// count notes what was done since Begin, with d.mu held.
func (d *Disk) count(bytes int64, flushes int) {
	if !d.begun {
		return
	}
	before := d.past()
	d.written += bytes
	d.flushed += flushes
	if !before && d.past() {
		close(d.reached)
	}
}

func (d *Disk) past() bool {
	return d.mark.Bytes > 0 && d.written >= d.mark.Bytes || d.mark.Flushes > 0 && d.flushed >= d.mark.Flushes
}

// Flushes is the number of flushes since [Disk.Begin].
func (d *Disk) Flushes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flushed
}

// Written is the number of bytes written since [Disk.Begin].
func (d *Disk) Written() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.written
}

// read fills p, from the cache first.
func (d *Disk) read(p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > d.size {
		return syscall.EINVAL
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.file.ReadAt(p, off); err != nil && err != io.EOF {
		return err
	}
	for _, w := range d.pending {
		from, to := max(off, w.off), min(off+int64(len(p)), w.off+int64(len(w.data)))
		if from < to {
			copy(p[from-off:to-off], w.data[from-w.off:to-w.off])
		}
	}
	return nil
}

// write takes p, which is the disk's from now on, into the cache.
func (d *Disk) write(p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > d.size {
		return syscall.ENOSPC
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.faults; d.begun && f.FailAfter > 0 && d.written >= f.FailAfter {
		return syscall.EIO
	}
	if f := d.faults; d.begun && f.HangAfter > 0 && d.written >= f.HangAfter {
		d.mu.Unlock()
		<-d.hang
		d.mu.Lock()
		return syscall.EIO
	}
	d.pending = append(d.pending, write{off, p})
	d.count(int64(len(p)), 0)
	return nil
}

// flush makes stable what was written.
func (d *Disk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.count(0, 1)
	if d.begun && d.faults.DropFlush {
		return nil
	}
	return d.settle(func(int) bool { return true })
}

func (d *Disk) settle(keep func(i int) bool) error {
	for i, w := range d.pending {
		if !keep(i) {
			continue
		}
		if _, err := d.file.WriteAt(w.data, w.off); err != nil {
			return fmt.Errorf("nbd: %w", err)
		}
	}
	d.pending = nil
	return nil
}

// Release lets a disk that hangs fail what it was asked, as a reset of its
// controller would: QEMU itself waits for its disks when it resets them.
func (d *Disk) Release() { d.release.Do(func() { close(d.hang) }) }

// Close ends the disk in good order: what is in the cache is written.
func (d *Disk) Close() error { return d.end(func(int) bool { return true }) }

// Cut cuts the power: of the writes that were not flushed, numbered from 0, only
// those that keep names are on the disk.
func (d *Disk) Cut(keep func(i int) bool) error { return d.end(keep) }

func (d *Disk) end(keep func(int) bool) error {
	d.Release()
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.settle(keep)
	if cerr := d.file.Close(); err == nil {
		err = cerr
	}
	return err
}
