// Package elftest makes the smallest ELF files that pass for a kernel module and
// for a static program, so that tests need neither a compiler nor a kernel.
//
// It is for tests only. Layout: System V ABI, ELF-64 object file format.
package elftest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// Module gives an ELF relocatable file with a .modinfo section that holds the
// given lines ("depends=a,b", "alias=x", ...), each ended by NUL, as
// include/linux/moduleinfo.h and scripts/mod/modpost.c write them.
func Module(machine elf.Machine, modinfo ...string) []byte {
	info := ""
	for _, l := range modinfo {
		info += l + "\x00"
	}
	names := "\x00.modinfo\x00.gnu.linkonce.this_module\x00.shstrtab\x00"
	const ehdr = 64
	sections := []struct {
		name string
		typ  elf.SectionType
		data []byte
	}{
		{"", elf.SHT_NULL, nil},
		{".modinfo", elf.SHT_PROGBITS, []byte(info)},
		{".gnu.linkonce.this_module", elf.SHT_PROGBITS, make([]byte, 64)},
		{".shstrtab", elf.SHT_STRTAB, []byte(names)},
	}
	var body bytes.Buffer
	body.Write(make([]byte, ehdr))
	var headers []elf.Section64
	for _, s := range sections {
		h := elf.Section64{Type: uint32(s.typ), Off: uint64(body.Len()), Size: uint64(len(s.data)), Addralign: 1}
		if s.name == "" {
			h = elf.Section64{}
		} else {
			h.Name = uint32(strings.Index(names, "\x00"+s.name+"\x00") + 1)
		}
		body.Write(s.data)
		headers = append(headers, h)
	}
	for body.Len()%8 != 0 {
		body.WriteByte(0)
	}
	h := header(elf.ET_REL, machine)
	h.Shoff, h.Shnum, h.Shstrndx = uint64(body.Len()), uint16(len(headers)), uint16(len(headers)-1)
	put(&body, headers)
	return withHeader(h, body.Bytes())
}

// Program gives an ELF executable with one loadable segment; with interp not
// empty it also has a PT_INTERP, which makes it a dynamic one.
func Program(machine elf.Machine, interp string) []byte {
	progs := []elf.Prog64{{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: 0x400000, Align: 0x1000}}
	if interp != "" {
		progs = append(progs, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 2*56, Filesz: uint64(len(interp) + 1), Align: 1})
	}
	var body bytes.Buffer
	body.Write(make([]byte, 64))
	progs[0].Filesz = uint64(64 + len(progs)*56 + len(interp) + 1)
	progs[0].Memsz = progs[0].Filesz
	put(&body, progs)
	body.WriteString(interp + "\x00")
	h := header(elf.ET_EXEC, machine)
	h.Entry, h.Phoff, h.Phnum = 0x400000, 64, uint16(len(progs))
	return withHeader(h, body.Bytes())
}

func header(typ elf.Type, machine elf.Machine) elf.Header64 {
	h := elf.Header64{
		Type: uint16(typ), Machine: uint16(machine), Version: 1,
		Ehsize: 64, Phentsize: 56, Shentsize: 64,
	}
	copy(h.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1})
	return h
}

func withHeader(h elf.Header64, file []byte) []byte {
	var b bytes.Buffer
	put(&b, h)
	copy(file, b.Bytes())
	return file
}

// put cannot fail: a buffer takes everything and all values have a fixed size.
func put(b *bytes.Buffer, v any) {
	if err := binary.Write(b, binary.LittleEndian, v); err != nil {
		panic(err)
	}
}
