package dmesg

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/gokdump/gokdump/capture/kernel"
)

// maxStruct bounds the structures that VMCOREINFO describes; the largest one,
// struct printk_info, takes 112 bytes in 7.2.
const maxStruct = 4096

// fields looks up keys of VMCOREINFO and remembers what is missing or absurd, so
// that one error names it all.
type fields struct {
	info  *kernel.Info
	usual map[string]uint64 // sizes and offsets to take in place of info's, if not nil
	wrong []string
}

// look is the value of a key like SIZE(name).
func (f *fields) look(kind, name string, get func(string) (uint64, bool)) (uint64, bool) {
	if f.usual != nil {
		v, ok := f.usual[kind+"("+name+")"]
		return v, ok
	}
	return get(name)
}

func (f *fields) has(symbol string) bool {
	_, ok := f.info.Symbol(symbol)
	return ok
}

func (f *fields) symbol(name string) uint64 {
	va, ok := f.info.Symbol(name)
	if !ok {
		f.wrong = append(f.wrong, "no SYMBOL("+name+")")
	}
	return va
}

// size is the size of a structure in bytes, from 1 to maxStruct.
func (f *fields) size(name string) uint64 {
	n, ok := f.look("SIZE", name, f.info.Size)
	if !ok || n == 0 || n > maxStruct {
		f.wrong = append(f.wrong, fmt.Sprintf("SIZE(%s) is missing or not sound (%d)", name, n))
		return maxStruct
	}
	return n
}

// offset is the offset of a field of width bytes inside a structure of size bytes.
func (f *fields) offset(name string, width, size uint64) uint64 {
	n, ok := f.look("OFFSET", name, f.info.Offset)
	if !ok || size < width || n > size-width {
		f.wrong = append(f.wrong, fmt.Sprintf("OFFSET(%s) is missing or not sound (%d)", name, n))
		return 0
	}
	return n
}

// part is a member of struct printk_info.
type part struct {
	name     string
	at, size uint64
}

// apart makes sure that the members do not overlap.
func (f *fields) apart(parts []part) {
	for i, a := range parts {
		for _, b := range parts[:i] {
			if a.at < b.at+b.size && b.at < a.at+a.size {
				f.wrong = append(f.wrong, fmt.Sprintf("OFFSET(printk_info.%s) %d and OFFSET(printk_info.%s) %d overlap", b.name, b.at, a.name, a.at))
			}
		}
	}
}

func (f *fields) err() error {
	if len(f.wrong) == 0 {
		return nil
	}
	return fmt.Errorf("VMCOREINFO: %s", strings.Join(f.wrong, ", "))
}

// Little-endian numbers: all kernels that this program reads are.
func u16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// number reads a 4 or 8 byte number at va.
func number(mem memory, va uint64, width int) (uint64, error) {
	var b [8]byte
	if err := mem.ReadVirt(b[:width], va); err != nil {
		return 0, err
	}
	return u64(b[:]), nil
}
