package vmcore

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
)

// coreOf is an ELF core of these segments, one page of file for each that has
// bytes in it.
func coreOf(segs ...elf.Prog64) []byte {
	h := elf.Header64{Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: uint16(len(segs))}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, h)
	for i := range segs {
		segs[i].Type = uint32(elf.PT_LOAD)
		if segs[i].Filesz > 0 {
			segs[i].Off = uint64(4096 * (i + 1))
		}
	}
	binary.Write(&b, binary.LittleEndian, segs)
	return append(b.Bytes(), make([]byte, 4096*(len(segs)+2)-b.Len())...)
}

func TestELFStored(t *testing.T) {
	core := coreOf(
		elf.Prog64{Paddr: 0x1000, Filesz: 0x1000, Memsz: 0x3000},
		elf.Prog64{Paddr: 0x8000, Filesz: 0, Memsz: 0x2000},
		elf.Prog64{Paddr: 0x10400, Filesz: 0x200, Memsz: 0x200},
	)
	src, err := OpenELF(NewFile(bytes.NewReader(core), int64(len(core))))
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	stored := src.(*elfSource).Stored()
	for pfn, ok := stored.Next(0); ok; pfn, ok = stored.Next(pfn + 1) {
		got = append(got, pfn)
	}
	if fmt.Sprint(got) != "[1 16]" {
		t.Errorf("pfns %d are stored", got)
	}

	// A file that ends too early still should have had them.
	core = coreOf(elf.Prog64{Paddr: 0x1000, Filesz: 0x1000, Memsz: 0x1000}, elf.Prog64{Paddr: 0x8000, Filesz: 0x2000, Memsz: 0x2000})
	cut := core[:8192+0x1000]
	if src, err = OpenELF(NewFile(bytes.NewReader(cut), int64(len(cut))), Salvage()); err != nil {
		t.Fatal(err)
	}
	if n := src.(*elfSource).Stored().Len(); n != 3 {
		t.Errorf("%d pages are stored, want 3", n)
	}
}

// /proc/kcore has segments that are views of memory, not memory: their physical
// address is -1, their size that of an address space.
func TestELFViewsAreNoMemory(t *testing.T) {
	core := coreOf(
		elf.Prog64{Vaddr: 0xffffc90000000000, Paddr: ^uint64(0), Filesz: 1 << 45, Memsz: 1 << 45},
		elf.Prog64{Vaddr: 0xffffffff81000000, Paddr: 0x1000000, Filesz: 0x1000, Memsz: 0x1000},
		elf.Prog64{Vaddr: 0xffff888001000000, Paddr: 0x1000000, Filesz: 0x1000, Memsz: 0x1000},
	)
	src, err := OpenELF(NewFile(bytes.NewReader(core), 1<<46))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x %x", src.RAM(), src.KernelImage()); got != "[{1000000 1001000}] [{1000000 1001000}]" {
		t.Errorf("RAM and image: %s", got)
	}
	at := Range{0x1000000, 0x1001000}
	want := []Mapped{{at, 0xffffffff81000000, true}, {at, 0xffff888001000000, false}}
	if got := src.(*elfSource).Mapped(); !slices.Equal(got, want) {
		t.Errorf("Mapped() = %v, want %v", got, want)
	}
}
