package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/gokdump/gokdump/capture/infoscan"
	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// mending is one Mend under way.
type mending struct {
	src  vmcore.Source
	mem  vmcore.Reader
	out  mended
	said []string

	// What is known of the kernel once its VMCOREINFO is; each may be nil.
	info  *kernel.Info
	space *kernel.Space
	uname *vmcore.Uname
}

func (m *mending) say(format string, a ...any) { m.said = append(m.said, fmt.Sprintf(format, a...)) }

// Mend is [Open] for a core that is open: it gives a Source in which all is
// mended that can be, or src itself when there was nothing to mend. Closing it
// closes src; after an error src is still open.
func Mend(ctx context.Context, src vmcore.Source, opt Options) (vmcore.Source, []string, error) {
	mem, err := src.NewReader()
	if err != nil {
		return nil, nil, err
	}
	defer mem.Close()
	m := &mending{src: src, mem: mem}
	m.out = mended{Source: src, ram: src.RAM(), pageSize: src.PageSize(), notes: src.Notes(), info: src.VMCoreInfo()}
	if opt.Salvage {
		m.lost(ctx)
	}
	changed, err := m.vmcoreinfo(ctx, opt.VMCoreInfo)
	if err != nil {
		return nil, nil, err
	}
	m.understand()
	if m.dropDevices() {
		changed = true
	}
	k, ok := src.(vmcore.Kdump)
	if !ok {
		if changed {
			return &m.out, m.said, nil
		}
		return src, m.said, nil
	}
	wrapped := &mendedKdump{Kdump: k, m: m.out, head: *k.Header()}
	if m.header(&wrapped.head) || changed {
		return wrapped, m.said, nil
	}
	return src, m.said, nil
}

// vmcoreinfo finds the right VMCOREINFO and tells whether it is another one than
// the core's.
func (m *mending) vmcoreinfo(ctx context.Context, given string) (bool, error) {
	if given != "" {
		text, err := readGiven(given)
		if err != nil {
			return false, err
		}
		switch err := infoscan.Prove(text, m.src.Machine(), m.mem); {
		case errors.Is(err, infoscan.ErrUnproved):
			m.say("the VMCOREINFO of %s is taken unproved: %v", given, err)
		case err != nil:
			return false, fmt.Errorf("VMCOREINFO of %s is not that of this core's kernel: %w", given, err)
		default:
			m.say("the VMCOREINFO is that of %s", given)
		}
		return true, m.use(text)
	}
	why := "the core has no VMCOREINFO note"
	if m.out.info != nil {
		err := infoscan.Prove(m.out.info, m.src.Machine(), m.mem)
		// A page that a filter or a cut took away proves nothing, and a kernel
		// that went down for good keeps its log's fate to other steps.
		if err == nil || errors.Is(err, infoscan.ErrUnproved) || errors.Is(err, vmcore.ErrNoPage) || !hypervisor(m.src) {
			return false, nil
		}
		why = fmt.Sprintf("the core's VMCOREINFO does not fit its memory (%v)", err)
	}
	found, err := infoscan.Find(ctx, m.src)
	if err != nil {
		m.say("%s, and another could not be had: %v", why, err)
		return false, nil
	}
	m.say("%s: the kernel's own was found in its memory at %#x", why, found.PA)
	return true, m.use(found.Text)
}

// use puts a VMCOREINFO in place of the core's.
func (m *mending) use(text []byte) error {
	info, err := kernel.ParseInfo(text)
	if err != nil {
		return err
	}
	if size := m.src.PageSize(); info.PageSize != size {
		if _, ok := m.src.(vmcore.Kdump); ok {
			return fmt.Errorf("VMCOREINFO has pages of %d bytes, the core of %d", info.PageSize, size)
		}
	}
	m.out.pageSize = info.PageSize
	m.out.info, m.out.notes = text, withInfo(m.src.Notes(), text)
	return nil
}

// understand prepares what the other steps ask the kernel for.
func (m *mending) understand() {
	info, err := kernel.ParseInfo(m.out.info)
	if err != nil {
		return
	}
	space, err := kernel.NewSpace(info, m.src.Machine(), m.mem)
	if err != nil {
		return
	}
	u, err := kernel.ReadUname(info, space)
	if err != nil {
		return
	}
	m.info, m.space, m.uname = info, space, &u
}

// header mends the header of a kdump-compressed file by what the memory says.
// QEMU leaves the names empty, or writes "Unknown", and takes the decimal
// phys_base of VMCOREINFO for a hexadecimal one.
func (m *mending) header(h *vmcore.KdumpHeader) (changed bool) {
	if m.uname == nil {
		return false
	}
	if h.Uname != *m.uname {
		m.say("the header's names are %q, %q, %q: the memory's are %q, %q, %q", h.Uname.Sysname, h.Uname.Release, h.Uname.Machine,
			m.uname.Sysname, m.uname.Release, m.uname.Machine)
		h.Uname, changed = *m.uname, true
	}
	if base, ok := m.space.PhysBase(); ok && base != h.PhysBase {
		m.say("the header's phys_base is %#x: the memory's is %#x", h.PhysBase, base)
		h.PhysBase, changed = base, true
	}
	return changed
}

// lost tells what a core that is cut short lacks.
func (m *mending) lost(ctx context.Context) {
	k, ok := m.src.(vmcore.Kdump)
	if !ok {
		return
	}
	l, err := vmcore.LossOf(ctx, k)
	if err != nil {
		m.say("what is lost could not be counted: %v", err)
		return
	}
	if n := l.Pages(); n > 0 {
		m.say("%d of %d stored pages are lost: %d without descriptor, %d without data", n, k.Stored().Len(), l.NoDesc, l.NoData)
	}
	if l.Bitmaps {
		m.say("a part of the bitmaps is lost: there may have been more pages")
	}
}
