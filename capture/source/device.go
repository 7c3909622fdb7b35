package source

import (
	"debug/elf"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// The end of the 32-bit address space, where a PC's devices and firmware have
// their memory. QEMU's q35 and pc machines have no RAM there (pc_memory_init of
// hw/i386/pc.c), but dump what backs the video card, at 0xfd000000, and the
// firmware, at 0xfffc0000, with it.
const (
	deviceStart = 0xe0000000
	deviceEnd   = 1 << 32
)

// hypervisor tells a dump that QEMU made by its notes, one for each CPU.
func hypervisor(src vmcore.Source) bool {
	for n := range vmcore.EachNote(src.Notes()) {
		if n.Name == "QEMU" {
			return true
		}
	}
	return false
}

// dropDevices takes device memory out of the RAM. A range goes only when
// everything says so: QEMU made the dump of a PC, the range lies where a PC has
// devices, and the kernel, all of whose memory sections are understood, has none
// there: no struct page, so that it never used it as memory.
func (m *mending) dropDevices() bool {
	if m.info == nil || m.src.Machine() != elf.EM_X86_64 || !hypervisor(m.src) {
		return false
	}
	memmap, err := kernel.NewMemMap(m.info, m.space, m.out.ram)
	if err != nil || memmap.Bad > 0 {
		return false
	}
	var kept []vmcore.Range
	var dropped uint64
	for _, r := range m.out.ram {
		if r.Start >= deviceStart && r.End <= deviceEnd && !covered(memmap, r, m.out.pageSize) {
			dropped += r.End - r.Start
			continue
		}
		kept = append(kept, r)
	}
	if dropped == 0 || len(kept) == 0 {
		return false
	}
	m.out.ram = kept
	m.say("%d KiB of device memory are no RAM and left out", dropped>>10)
	return true
}

// covered tells whether any section has struct pages for a part of r.
func covered(m *kernel.MemMap, r vmcore.Range, pageSize uint64) bool {
	for _, s := range m.Sections {
		if s.Start*pageSize < r.End && r.Start < s.End*pageSize {
			return true
		}
	}
	return false
}
