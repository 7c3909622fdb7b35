package vmcore

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// read(2) of /proc/vmcore maps and unmaps every single page in the kernel;
// mmap(2) sets up thousands at once and copies several times faster
// (fs/proc/vmcore.c). Other files are read: faults on page cache, populated or not,
// took 0.8 to 1.6 us of CPU a page where reads of 64 KiB and more took 0.5. And what
// is encoded is a copy in either case: a page that changes meanwhile, by a device that
// nobody stopped or in a file that somebody writes, would make a stream of no page.

// windowSize is the size of one mapping, in bytes; windowCount how many a
// reader keeps, since walking page tables jumps to and fro.
const (
	windowSize  = 4 << 20
	windowCount = 8
)

// isProcFile tells whether fd is a file of procfs.
func isProcFile(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && uint32(st.Type) == unix.PROC_SUPER_MAGIC
}

type window struct {
	off  int64
	mem  []byte
	used uint64
}

// windows are the mappings of one reader.
type windows struct {
	w    [windowCount]window
	tick uint64
}

// copy fills p from the mapped file and tells whether it could. When mmap(2)
// is refused, nobody tries again with this file; when a page faults, the
// caller reads it instead, which at least tells the error.
func (ws *windows) copy(s *elfSource, p []byte, off int64) bool {
	for len(p) > 0 {
		w := ws.at(s, off)
		if w == nil {
			return false
		}
		n := min(len(p), len(w.mem)-int(off-w.off))
		if !copyMapped(p[:n], w.mem[off-w.off:]) {
			return false
		}
		p, off = p[n:], off+int64(n)
	}
	return true
}

// at gives the window that has off; nil when there can be none.
func (ws *windows) at(s *elfSource, off int64) *window {
	ws.tick++
	oldest := &ws.w[0]
	for i := range ws.w {
		w := &ws.w[i]
		if off >= w.off && off-w.off < int64(len(w.mem)) {
			w.used = ws.tick
			return w
		}
		if w.used < oldest.used {
			oldest = w
		}
	}
	start := off &^ (windowSize - 1)
	// The kernel refuses a mapping that goes beyond the end: a last part of a
	// page is read instead.
	n := min(windowSize, (s.size-start)&^int64(unix.Getpagesize()-1))
	if off-start >= n {
		return nil
	}
	if oldest.mem != nil {
		_ = unix.Munmap(oldest.mem)
		*oldest = window{}
	}
	mem, err := unix.Mmap(s.mapFD, start, int(n), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		s.noMap.Store(true)
		return nil
	}
	*oldest = window{off: start, mem: mem, used: ws.tick}
	return oldest
}

// copyMapped is the only function that touches mapped memory. A page that the
// kernel cannot give raises SIGBUS: here it makes the copy fail.
func copyMapped(dst, src []byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			if _, fault := e.(interface{ Addr() uintptr }); !fault {
				panic(e)
			}
			ok = false
		}
	}()
	copy(dst, src)
	return true
}

func (ws *windows) close() error {
	var first error
	for i := range ws.w {
		if ws.w[i].mem == nil {
			continue
		}
		if err := unix.Munmap(ws.w[i].mem); err != nil && first == nil {
			first = err
		}
		ws.w[i] = window{}
	}
	return first
}
