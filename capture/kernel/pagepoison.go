package kernel

import "encoding/binary"

// poisonMagic is in page.private of a page that was taken from the free ones for its
// memory error, since 5.17 (mm/memory-failure.c, MAGIC_HWPOISON).
const poisonMagic = 0x48575053

// IsPoisoned tells that the page had a memory error.
func (l *PageLayout) IsPoisoned(p []byte) bool { return l.f(p)&l.hwpoison != 0 }

// Poison tells how well a page that is poisoned, and no tail, fits what the kernel
// does with one (mm/memory-failure.c): it takes it from the free pages, or off its
// list and out of its process, and keeps a reference to it. sure tells that nothing
// else leaves a page like that, odd that the kernel was not done with it, or that it
// is no page of this kind.
func (l *PageLayout) Poison(p []byte) (sure, odd bool) {
	m, refs := l.m(p), !l.hasRefcount || l.refs(p) > 0
	free := l.t(p) == ^uint32(0) // no process has it, and it has no type
	switch {
	case l.f(p)&(l.lru|l.reserved) != 0 || !refs && !l.IsHead(p) && !l.IsSlab(p): // a list's, boot's, or free
		return false, true
	case !free:
		return false, false
	}
	left := m&1 != 0 && m>>63 != 0 && !l.IsHead(p) // anonymous once
	return refs && (left || m == 0 && binary.LittleEndian.Uint64(p[l.private:]) == poisonMagic), false
}

// PoisonUnsure tells that PG_hwpoison is a bit that it can be, but that kernels of
// this version do not have there: only pages that are surely poisoned speak for it.
func (l *PageLayout) PoisonUnsure() bool { return l.poisonUnsure }

// HintsPoison tells that the page has the flag that PG_hwpoison should be, where
// VMCOREINFO does not say so, and that no process maps it: the other flags that can
// be in that place are those of pages in use.
func (l *PageLayout) HintsPoison(p []byte) bool {
	if l.f(p)&l.poisonHint == 0 {
		return false
	}
	if l.poisonUnknown {
		sure, _ := l.Poison(p)
		return sure && !l.IsTail(p)
	}
	return l.IsTail(p) || l.f(p)&l.lru == 0 && (l.m(p) == 0 || int32(l.t(p)) < 0)
}

// MissesPoison tells that VMCOREINFO has no PG_hwpoison, though hardly a kernel of this
// time is built without CONFIG_MEMORY_FAILURE. Of those before 6.12 some are.
func (l *PageLayout) MissesPoison() bool { return l.hwpoison == 0 && l.types.buddy.shift != 0 }
