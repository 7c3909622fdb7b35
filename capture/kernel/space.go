package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrNotMapped is wrapped by the error of a translation that ends at an entry
// which is not present.
var ErrNotMapped = errors.New("address is not mapped")

// ErrArch is wrapped by the error of [NewSpace] for an architecture whose page
// tables this package cannot walk.
var ErrArch = errors.New("page tables of this architecture are not supported")

// level is one level of page tables: which bits of the address index it.
type level struct{ shift, bits uint }

// arch is what the walk needs to know of an architecture. It does not change.
type arch interface {
	// geometry gives the physical address of the top table and the levels
	// from the top down; at most 5.
	geometry() (root uint64, levels []level)
	// decode reads one entry of level levels[i]: the address of the next table,
	// or of the memory when leaf.
	decode(entry uint64, i int) (pa uint64, leaf bool, err error)
	// kernel tells whether va lies in the kernel's half.
	kernel(va uint64) bool
	// image tells whether va to pa is how the kernel's own image is mapped.
	image(va, pa uint64) bool
}

// Space translates the kernel's virtual addresses and reads at them. One
// goroutine uses it at a time; see [Space.With].
type Space struct {
	// Mended tells what VMCOREINFO has wrong about translation, and what was
	// found in its place or what follows.
	Mended []string

	info   *Info
	arch   arch
	root   uint64
	levels []level
	mem    Memory
	cache  tableCache
}

// NewSpace prepares translation for the kernel that info describes. On x86-64 it
// makes sure that the page tables are where they are said to be, and looks for
// them in memory if not; see [Space.Mended]. The error names the key that is
// missing, or wraps [ErrArch].
func NewSpace(info *Info, machine elf.Machine, mem Memory) (*Space, error) {
	var a arch
	var err error
	var mended []string
	switch machine {
	case elf.EM_X86_64:
		a, mended, err = findX86(info, mem)
	case elf.EM_AARCH64:
		a, err = newARM64(info)
	default:
		err = fmt.Errorf("%w: %v", ErrArch, machine)
	}
	if err != nil {
		return nil, fmt.Errorf("translate addresses of kernel %s: %w", info.Release, err)
	}
	s := &Space{Mended: mended, info: info, arch: a, mem: mem}
	s.root, s.levels = a.geometry()
	return s, nil
}

// With returns a Space of the same tables that reads by mem, for use by another
// goroutine.
func (s *Space) With(mem Memory) *Space {
	return &Space{info: s.info, arch: s.arch, root: s.root, levels: s.levels, mem: mem}
}

// IsKernel tells whether va lies in the kernel's half of the address space.
func (s *Space) IsKernel(va uint64) bool { return s.arch.kernel(va) }

// IsImage tells whether the mapping is one of the kernel's own image, not of a
// module or anything else.
func (s *Space) IsImage(m Mapping) bool { return s.arch.image(m.VA, m.PA) }

// Translate gives the physical address of va, and how many bytes from there on
// belong to the same mapping (at least 1). An address that is not mapped gives
// an error that wraps [ErrNotMapped].
func (s *Space) Translate(va uint64) (pa, n uint64, err error) {
	if !s.arch.kernel(va) {
		return 0, 0, fmt.Errorf("translate %#x: not an address of the kernel: %w", va, ErrNotMapped)
	}
	table := s.root
	for i, l := range s.levels { // never more steps than levels, whatever the tables say
		slot := table + (va>>l.shift&(1<<l.bits-1))*8
		entry, err := s.entry(slot)
		if err != nil {
			return 0, 0, fmt.Errorf("translate %#x: table of level %d: %w", va, len(s.levels)-i, err)
		}
		next, leaf, err := s.arch.decode(entry, i)
		if err != nil {
			return 0, 0, fmt.Errorf("translate %#x: entry %#x of level %d: %w", va, entry, len(s.levels)-i, err)
		}
		if leaf {
			off := va & (1<<l.shift - 1)
			return next + off, 1<<l.shift - off, nil
		}
		table = next
	}
	return 0, 0, fmt.Errorf("translate %#x: no leaf entry after %d levels", va, len(s.levels))
}

// ReadVirt fills p with the memory at kernel address va.
func (s *Space) ReadVirt(p []byte, va uint64) error {
	if va+uint64(len(p)) < va {
		return fmt.Errorf("read %d bytes at %#x: past the end of the address space", len(p), va)
	}
	for len(p) > 0 {
		pa, n, err := s.Translate(va)
		if err != nil {
			return err
		}
		n = min(n, uint64(len(p)))
		if err := s.mem.ReadPhys(p[:n], pa); err != nil {
			return fmt.Errorf("read %d bytes at %#x: %w", n, va, err)
		}
		p, va = p[n:], va+n
	}
	return nil
}

// Uint64 reads 8 bytes at kernel address va.
func (s *Space) Uint64(va uint64) (uint64, error) {
	var b [8]byte
	err := s.ReadVirt(b[:], va)
	return binary.LittleEndian.Uint64(b[:]), err
}

// Uint32 reads 4 bytes at kernel address va.
func (s *Space) Uint32(va uint64) (uint32, error) {
	var b [4]byte
	err := s.ReadVirt(b[:], va)
	return binary.LittleEndian.Uint32(b[:]), err
}

// CString reads a string at kernel address va up to its NUL, at most limit bytes
// (and never more than 4096). A string that does not end is cut there.
func (s *Space) CString(va uint64, limit int) (string, error) {
	p := make([]byte, max(0, min(limit, 4096)))
	got := 0
	for got < len(p) {
		// up to 64 bytes at once, not across them: what follows the string
		// may not be mapped
		n := min(len(p)-got, int(64-(va+uint64(got))%64))
		if err := s.ReadVirt(p[got:got+n], va+uint64(got)); err != nil {
			return "", err
		}
		if end := bytes.IndexByte(p[got:got+n], 0); end >= 0 {
			return string(p[:got+end]), nil
		}
		got += n
	}
	return string(p), nil
}
