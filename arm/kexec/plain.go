package kexec

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// maxPlain bounds an unpacked kernel, in bytes. arm64 kernels are below 100 MiB.
const maxPlain = 512 << 20

// plain gives the kernel in the form that the system call takes. On arm64 the
// call takes an Image alone, so one in gzip or EFI zboot is unpacked into a
// memfd; every other form is passed on for the kernel to judge. done releases
// what plain made.
func plain(f *os.File) (kernel *os.File, done func(), err error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	k, err := ReadKernel(f, fi.Size())
	if err != nil || (k.Format != Gzip && k.Format != Zboot) {
		return f, func() {}, nil
	}
	r, err := unpacker(f, fi.Size(), k.Format)
	if err != nil {
		return nil, nil, fmt.Errorf("unpack %s: %w", f.Name(), err)
	}
	defer r.Close()
	fd, err := unix.MemfdCreate("crash-kernel", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("unpack %s: memfd_create: %w", f.Name(), err)
	}
	mem := os.NewFile(uintptr(fd), f.Name())
	n, err := io.Copy(mem, io.LimitReader(r, maxPlain+1))
	if err == nil && n > maxPlain {
		err = fmt.Errorf("more than %d bytes", int64(maxPlain))
	}
	// The kernel refuses a file that is open for writing (ETXTBSY), so it gets
	// a second, read-only opening of the same memory.
	var ro *os.File
	if err == nil {
		ro, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	if cerr := mem.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		if ro != nil {
			ro.Close()
		}
		return nil, nil, fmt.Errorf("unpack %s: %w", f.Name(), err)
	}
	return ro, func() { ro.Close() }, nil
}

// unpacker opens the packed Image inside a file of size bytes. The zboot header
// holds the payload's offset at 8, its size at 12 and the compressor's name at
// 24, as zboot-header.S of Linux 6.1 lays it out.
func unpacker(f io.ReaderAt, size int64, format Format) (io.ReadCloser, error) {
	off, n, kind := int64(0), size, "gzip"
	if format == Zboot {
		head := make([]byte, 56)
		if _, err := f.ReadAt(head, 0); err != nil {
			return nil, err
		}
		off = int64(binary.LittleEndian.Uint32(head[8:]))
		n = int64(binary.LittleEndian.Uint32(head[12:]))
		if off < int64(len(head)) || n == 0 || off+n > size {
			return nil, fmt.Errorf("zboot payload at %d of %d bytes lies outside the file of %d", off, n, size)
		}
		kind = cString(head[24:56])
	}
	packed := io.NewSectionReader(f, off, n)
	switch kind {
	case "gzip":
		z, err := gzip.NewReader(packed)
		if err != nil {
			return nil, err
		}
		z.Multistream(false) // a signature may follow
		return z, nil
	case "zstd", "zstd22":
		d, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPlain))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, errors.New("zboot payload in " + kind + ": this program unpacks gzip and zstd")
}

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
