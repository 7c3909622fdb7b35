package capturetest

import (
	"debug/elf"
	"encoding/binary"

	"github.com/gokdump/gokdump/capture/internal/synth"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// Guest gives such a machine as QEMU's dump-guest-memory sees it from outside: the
// section header first and the program headers last, memory at virtual addresses
// that are the physical ones, the firmware as if it were RAM, registers in notes,
// and no VMCOREINFO. That is in the machine's memory alone; info is its text.
func Guest(opt Options) (core, info []byte) {
	opt.Drop = append(opt.Drop, "CRASHTIME")
	opt.Runs = append([]Run{{Kind: Kernel, Count: 2, Zero: true}}, opt.Runs...)
	m := synth.New(opt)
	m.Put(m.Runs[0].PFN*synth.PageSize, m.Info)

	var notes []byte
	for cpu := range m.Opt.CPUs {
		desc := make([]byte, 336)
		binary.LittleEndian.PutUint32(desc[32:], uint32(cpu+1)) // pr_pid
		notes = vmcore.AppendNote(notes, vmcore.Note{Name: "CORE", Type: vmcore.NotePRStatus, Desc: desc})
	}
	for range m.Opt.CPUs {
		notes = vmcore.AppendNote(notes, vmcore.Note{Name: "QEMU", Desc: make([]byte, 440)})
	}

	le := binary.LittleEndian
	b := make([]byte, 64+64)
	var phdrs []byte
	segment := func(typ elf.ProgType, pa uint64, data []byte) {
		phdrs = le.AppendUint32(phdrs, uint32(typ))
		phdrs = le.AppendUint32(phdrs, 0)
		for _, v := range []uint64{uint64(len(b)), pa, pa, uint64(len(data)), uint64(len(data)), 0} {
			phdrs = le.AppendUint64(phdrs, v)
		}
		b = append(b, data...)
	}
	segment(elf.PT_NOTE, 0, notes)
	n := uint16(1)
	for _, r := range m.Opt.RAM {
		data := make([]byte, r.End-r.Start)
		if err := m.ReadPhys(data, r.Start); err != nil {
			panic(err)
		}
		segment(elf.PT_LOAD, r.Start, data)
		n++
	}
	segment(elf.PT_LOAD, 0xfffc0000, make([]byte, 256<<10))
	n++
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], uint16(elf.ET_CORE))
	le.PutUint16(b[18:], uint16(elf.EM_X86_64))
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], uint64(len(b))) // e_phoff
	le.PutUint64(b[40:], 64)             // e_shoff
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], n)
	le.PutUint16(b[58:], 64)
	return append(b, phdrs...), m.Info
}
