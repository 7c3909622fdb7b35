package kexec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is the form of a kernel image.
type Format string

// The forms of kernel images.
const (
	BzImage    Format = "bzImage"     // x86, Documentation/arch/x86/boot.rst
	Arm64Image Format = "arm64 Image" // Documentation/arch/arm64/booting.rst
	Gzip       Format = "gzip"        // an arm64 Image in gzip
	Zboot      Format = "EFI zboot"   // drivers/firmware/efi/libstub/zboot-header.S
)

// ErrNotKernel says that a file is not a kernel image that can be loaded.
var ErrNotKernel = errors.New("not a kernel image that kexec_file_load takes")

// Kernel is what a kernel image's header tells.
type Kernel struct {
	// Format is the image's form.
	Format Format
	// Release is what uname -r would print; "" when the header does not say.
	Release string
	// InitSize is the memory that the kernel needs in one piece until it runs,
	// in bytes; 0 when the header does not say.
	InitSize uint64

	cmdlineSize int // what the header allows, without the NUL; 0 if it does not say
}

// What the kernel itself appends to the command line on x86, in bytes
// (MAX_ELFCOREHDR_STR_LEN, MAX_DMCRYPTKEYS_STR_LEN in kexec-bzimage64.c). Before
// 6.16 only the first is added; the limit here serves both.
const appended = 30 + 31

// CmdlineMax is the longest command line that loads with this kernel, in bytes.
// It leaves room for what the kernel appends and for the final NUL.
func (k *Kernel) CmdlineMax() int {
	n := k.cmdlineSize
	if n == 0 {
		n = 2047 // COMMAND_LINE_SIZE - 1 on x86 and arm64
	}
	return n - appended - 1
}

// headSize is as much of a kernel image as ReadKernel needs, in bytes.
const headSize = 0x300

// ReadKernel reads the header of a kernel image of size bytes. It finds what
// the kernel would answer with ENOEXEC, and a bzImage that was cut short, which
// the kernel would take and then fail to boot. The error wraps [ErrNotKernel].
func ReadKernel(r io.ReaderAt, size int64) (*Kernel, error) {
	head := make([]byte, headSize)
	if n, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read kernel header: %w", err)
	} else if n < len(head) {
		return nil, fmt.Errorf("%w: only %d bytes long", ErrNotKernel, n)
	}
	switch {
	case string(head[0x202:0x206]) == "HdrS":
		return readBzImage(r, size, head)
	case string(head[56:60]) == "ARM\x64":
		return &Kernel{Format: Arm64Image, InitSize: binary.LittleEndian.Uint64(head[16:])}, nil
	case head[0] == 0x1f && head[1] == 0x8b:
		return &Kernel{Format: Gzip}, nil
	case string(head[:2]) == "MZ" && string(head[4:8]) == "zimg":
		return &Kernel{Format: Zboot}, nil
	case string(head[:4]) == "\x7fELF":
		return nil, fmt.Errorf("%w: an ELF file (vmlinux); give the boot image, vmlinuz", ErrNotKernel)
	case string(head[:2]) == "MZ":
		return nil, fmt.Errorf("%w: an EFI program (a unified kernel image?); give the kernel alone", ErrNotKernel)
	}
	return nil, fmt.Errorf("%w: it starts with % x", ErrNotKernel, head[:4])
}

// readBzImage reads the x86 setup header; names and offsets are those of
// boot.rst.
func readBzImage(r io.ReaderAt, size int64, head []byte) (*Kernel, error) {
	le := binary.LittleEndian
	const (
		loadedHigh     = 1 << 0 // loadflags
		kernel64       = 1 << 0 // xloadflags XLF_KERNEL_64
		loadedAbove4G  = 1 << 1 // xloadflags XLF_CAN_BE_LOADED_ABOVE_4G
		bootFlag       = 0xaa55
		wantedProtocol = 0x20c
	)
	if flag := le.Uint16(head[0x1fe:]); flag != bootFlag {
		return nil, fmt.Errorf("%w: boot flag is %#x, want %#x", ErrNotKernel, flag, bootFlag)
	}
	if v := le.Uint16(head[0x206:]); v < wantedProtocol {
		return nil, fmt.Errorf("%w: boot protocol %d.%d, want 2.12 (Linux 3.8) or later", ErrNotKernel, v>>8, v&0xff)
	}
	if head[0x211]&loadedHigh == 0 {
		return nil, fmt.Errorf("%w: a zImage, want a bzImage", ErrNotKernel)
	}
	if x := le.Uint16(head[0x236:]); x&kernel64 == 0 || x&loadedAbove4G == 0 {
		return nil, fmt.Errorf("%w: xloadflags are %#x: not a 64-bit kernel that can be moved", ErrNotKernel, x)
	}
	sects := int64(head[0x1f1])
	if sects == 0 {
		sects = 4
	}
	want := (sects+1)*512 + int64(le.Uint32(head[0x1f4:]))*16
	if size < want {
		return nil, fmt.Errorf("%w: cut short: %d bytes, its header says %d", ErrNotKernel, size, want)
	}
	k := &Kernel{Format: BzImage, InitSize: uint64(le.Uint32(head[0x260:]))}
	if n := le.Uint32(head[0x238:]); n > appended+1 && n < 1<<20 {
		k.cmdlineSize = int(n)
	}
	if off := le.Uint16(head[0x20e:]); off != 0 {
		text := make([]byte, 256)
		n, err := r.ReadAt(text, int64(off)+0x200)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read kernel version: %w", err)
		}
		line, _, _ := bytes.Cut(text[:n], []byte{0})
		k.Release, _, _ = strings.Cut(string(line), " ")
	}
	return k, nil
}
