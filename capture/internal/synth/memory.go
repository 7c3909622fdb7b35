package synth

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// IsRAM tells whether the whole byte range lies in one RAM range.
func (m *Machine) IsRAM(pa, n uint64) bool {
	for _, r := range m.Opt.RAM {
		if pa >= r.Start && pa+n <= r.End {
			return true
		}
	}
	return false
}

// MaxPFN is one more than the highest pfn with RAM.
func (m *Machine) MaxPFN() uint64 {
	end := m.Opt.RAM[len(m.Opt.RAM)-1].End
	return (end + PageSize - 1) / PageSize
}

// Page gives the page that is written to at pfn, made of its default content
// at the first call. Change it in place.
func (m *Machine) Page(pfn uint64) *[PageSize]byte {
	p := m.pages[pfn]
	if p == nil {
		p = new([PageSize]byte)
		if m.built {
			m.fill(p, pfn)
		}
		m.pages[pfn] = p
	}
	return p
}

// fill makes the default content: zeros for a page of a zero run, else a page
// of which a quarter is noise and the rest repeats the page number.
func (m *Machine) fill(p *[PageSize]byte, pfn uint64) {
	if m.zero[pfn] {
		clear(p[:])
		return
	}
	x := pfn*0x9e3779b97f4a7c15 + 1
	for i := 0; i < PageSize; i += 8 {
		v := pfn + 1
		if i%32 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			v = x
		}
		binary.LittleEndian.PutUint64(p[i:], v)
	}
}

// Put writes b at physical address pa.
func (m *Machine) Put(pa uint64, b []byte) {
	for len(b) > 0 {
		n := copy(m.Page(pa / PageSize)[pa%PageSize:], b)
		b, pa = b[n:], pa+uint64(n)
	}
}

// Put64 writes 8 bytes at physical address pa.
func (m *Machine) Put64(pa, v uint64) { m.Put(pa, binary.LittleEndian.AppendUint64(nil, v)) }

// Put32 writes 4 bytes at physical address pa.
func (m *Machine) Put32(pa uint64, v uint32) { m.Put(pa, binary.LittleEndian.AppendUint32(nil, v)) }

// Get64 reads 8 bytes at physical address pa, which must be RAM.
func (m *Machine) Get64(pa uint64) uint64 {
	var b [8]byte
	if err := m.ReadPhys(b[:], pa); err != nil {
		panic(err)
	}
	return binary.LittleEndian.Uint64(b[:])
}

// ReadPhys fills p with memory at pa as [vmcore.Reader] has it: the part of a
// page that is not RAM reads as zeros, a page without RAM is an error.
func (m *Machine) ReadPhys(p []byte, pa uint64) error {
	var buf [PageSize]byte
	for len(p) > 0 {
		pfn := pa / PageSize
		in, some := m.clip(pfn)
		if !some {
			return fmt.Errorf("read %#x: %w", pa, vmcore.ErrNoPage)
		}
		if w := m.pages[pfn]; w != nil {
			buf = *w
		} else {
			m.fill(&buf, pfn)
		}
		clear(buf[:in.Start])
		clear(buf[in.End:])
		n := copy(p, buf[pa%PageSize:])
		p, pa = p[n:], pa+uint64(n)
	}
	return nil
}

// clip gives the bytes of a page that are RAM.
func (m *Machine) clip(pfn uint64) (Range, bool) {
	lo, hi := pfn*PageSize, (pfn+1)*PageSize
	for _, r := range m.Opt.RAM {
		if s, e := max(lo, r.Start), min(hi, r.End); s < e {
			return Range{s - lo, e - lo}, true
		}
	}
	return Range{}, false
}

// Source is the machine as a core, without a file between.
func (m *Machine) Source() vmcore.Source { return source{m} }

type source struct{ m *Machine }

func (s source) Format() string       { return "elf" }
func (s source) Machine() elf.Machine { return elf.EM_X86_64 }
func (s source) PageSize() uint64     { return PageSize }
func (s source) Notes() []byte        { return s.m.notes() }
func (s source) VMCoreInfo() []byte   { return s.m.Info }
func (s source) Close() error         { return nil }

func (s source) RAM() []vmcore.Range {
	var out []vmcore.Range
	for _, r := range s.m.Opt.RAM {
		out = append(out, vmcore.Range(r))
	}
	return out
}

func (s source) KernelImage() []vmcore.Range {
	if s.m.Opt.NoImageAlias {
		return nil
	}
	return []vmcore.Range{vmcore.Range(s.m.Image)}
}

func (s source) NewReader() (vmcore.Reader, error) { return reader{s.m}, nil }

type reader struct{ *Machine }

func (reader) Close() error { return nil }
