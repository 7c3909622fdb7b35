// Package kernel reads the crashed kernel's own description of itself from its
// memory: VMCOREINFO ([Info]), address translation by its page tables
// ([Space]), where its struct pages lie ([MemMap]) and what their bits mean
// ([PageLayout]).
//
// It knows the kernels' eras and architectures; it never decides which page is
// worth keeping (capture/filter does), never opens files, and trusts nothing
// it reads: every address, size and index from the core is bounded, tables
// that refer to themselves end after a fixed depth.
//
// Facts: the kernel's kernel/vmcore_info.c (kernel/crash_core.c before 6.9),
// Documentation/admin-guide/kdump/vmcoreinfo.rst, include/linux/mmzone.h,
// include/linux/page-flags.h, Documentation/arch/x86/x86_64/mm.rst and
// arch/x86/include/asm/pgtable_types.h, arch/arm64/include/asm/pgtable-hwdef.h.
package kernel

// Memory is the crashed machine's physical memory. A [vmcore.Reader] is one.
type Memory interface {
	// ReadPhys fills p with the memory at physical address pa.
	ReadPhys(p []byte, pa uint64) error
}
