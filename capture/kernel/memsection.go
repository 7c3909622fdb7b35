package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/gokdump/gokdump/capture/vmcore"
)

// newSparse decodes mem_section. What VMCOREINFO calls SYMBOL(mem_section) is
// the array itself on most kernels; since 4.15, where mem_section is a pointer,
// the address may also be the pointer's own. Whether the array holds pointers
// to roots (SPARSEMEM_EXTREME) follows from its length. The reading that
// decodes without a bad section wins; without such, the one with the most good
// sections, if they are the most.
func newSparse(info *Info, s *Space, ram []vmcore.Range, page uint64) (*MemMap, error) {
	g, err := newSparseGeometry(info, ram, page)
	if err != nil {
		return nil, err
	}
	at, _ := info.Symbol("mem_section")
	arrays := []uint64{at}
	if p, err := s.Uint64(at); err == nil && s.IsKernel(p) {
		arrays = append(arrays, p)
	}
	extreme := g.length == (g.total+g.perRoot-1)/g.perRoot
	var best *MemMap
	for _, ext := range []bool{extreme, !extreme} {
		for _, array := range arrays {
			m := g.decode(s, array, ext)
			if len(m.Sections) > 0 && m.Bad == 0 {
				return m, nil
			}
			if best == nil || len(m.Sections) > len(best.Sections) {
				best = m
			}
		}
	}
	if len(best.Sections) <= best.Bad {
		return nil, fmt.Errorf("mem_section at %#x: %d sections decode, %d do not, %d are absent (%s)",
			at, len(best.Sections), best.Bad, best.Absent, best.FirstBad)
	}
	return best, nil
}

// decode reads the sections of all RAM.
func (g *sparse) decode(s *Space, array uint64, extreme bool) *MemMap {
	m := &MemMap{Model: "sparse"}
	limit := min(g.total, g.length)
	if extreme {
		m.Model = "sparse, extreme"
		limit = min(g.total, g.length*g.perRoot)
		if g.length > g.total {
			limit = g.total
		}
	}
	r := sectionReader{g: g, s: s, array: array, extreme: extreme, m: m}
	var next uint64 // first section not looked at yet
	for _, ram := range g.ram {
		start, end := pfns(ram, g.info.PageSize)
		for nr := max(next, start/g.per); nr*g.per < end; nr++ {
			next = nr + 1
			if nr >= limit {
				m.Absent += int((end-1)/g.per - nr + 1)
				next = (end-1)/g.per + 1
				break
			}
			v, err := r.read(nr)
			switch {
			case err != nil:
				m.Bad++
				if m.FirstBad == "" {
					m.FirstBad = fmt.Sprintf("section %d: %v", nr, err)
				}
			case v&sectionPresent == 0:
				m.Absent++
			default:
				first := nr * g.per
				m.add(s, Section{first, first + g.per, v&^sectionFlagMask + first*g.page}, max(first, start), g.page)
			}
		}
	}
	g.agree(s, m)
	return m
}

// vmemmapAlign is what the array of all struct pages is aligned to, on x86-64 always.
const vmemmapAlign = 1 << 30

// agree takes out the sections whose struct pages lie elsewhere than in the one array
// that all sections share where there is a virtual memory map. Without one, their
// struct pages are in the direct map, as mem_section itself is, and need not agree.
func (g *sparse) agree(s *Space, m *MemMap) {
	votes := map[uint64]int{}
	for _, sec := range m.Sections {
		base := sec.Map - sec.Start*g.page
		if votes[base]++; votes[base] == 1 && base%vmemmapAlign == 0 {
			votes[base]++
		}
	}
	if v, ok := g.info.Symbol("vmemmap"); ok {
		votes[v]++
	}
	var base uint64
	most, tie := 0, false
	for b, n := range votes {
		if n > most {
			base, most, tie = b, n, false
		} else if n == most {
			tie = true
		}
	}
	if tie || len(votes) < 2 {
		return
	}
	kept := m.Sections[:0:0]
	for _, sec := range m.Sections {
		if sec.Map-sec.Start*g.page == base {
			kept = append(kept, sec)
		}
	}
	if len(kept) == 0 || len(m.Tables) == 0 {
		return
	}
	table := m.Tables[len(m.Tables)-1].VA
	at, _, err1 := s.Translate(table)
	first := kept[0]
	pa, _, err2 := s.Translate(first.Map + g.mapped(first)*g.page)
	if err1 != nil || err2 != nil || first.Map+g.mapped(first)*g.page-pa == table-at {
		return
	}
	if n := len(m.Sections) - len(kept); n > 0 {
		m.Bad += n
		if m.FirstBad == "" {
			m.FirstBad = fmt.Sprintf("%d sections have struct pages elsewhere than in the array at %#x that the others share", n, base)
		}
	}
	m.Sections = kept
}

// mapped is the first page of RAM in a section, counted from the section's start.
func (g *sparse) mapped(sec Section) uint64 {
	for _, ram := range g.ram {
		if start, end := pfns(ram, g.info.PageSize); end > sec.Start {
			return max(start, sec.Start) - sec.Start
		}
	}
	return 0
}

// sectionReader reads mem_section entries in order, a page of them at once.
type sectionReader struct {
	g       *sparse
	s       *Space
	array   uint64
	extreme bool
	m       *MemMap

	root   uint64 // number of the piece in buf, plus 1
	buf    []byte
	failed error
}

// read gives section_mem_map of section nr. A root that is not there makes its
// sections absent.
func (r *sectionReader) read(nr uint64) (uint64, error) {
	if n := nr/r.g.perRoot + 1; n != r.root {
		r.root = n
		r.failed = r.load(n - 1)
	}
	if r.failed != nil || r.buf == nil {
		return 0, r.failed
	}
	return binary.LittleEndian.Uint64(r.buf[nr%r.g.perRoot*r.g.size+r.g.member:]), nil
}

func (r *sectionReader) load(root uint64) error {
	va := r.array + root*r.g.perRoot*r.g.size
	n := r.g.perRoot * r.g.size
	if r.extreme {
		p, err := r.s.Uint64(r.array + root*8)
		r.m.Tables = append(r.m.Tables, Span{r.array + root*8, 8})
		if err != nil || p == 0 {
			r.buf = nil
			return err
		}
		if va = p; !r.s.IsKernel(va) {
			return fmt.Errorf("root %d is at %#x, no kernel address", root, va)
		}
	} else if left := (r.g.length - min(r.g.length, root*r.g.perRoot)) * r.g.size; left < n {
		n = left // the flat array may end inside its last page
	}
	r.m.Tables = append(r.m.Tables, Span{va, n})
	buf := make([]byte, r.g.perRoot*r.g.size)
	if err := r.s.ReadVirt(buf[:n], va); err != nil {
		r.buf = nil
		return err
	}
	r.buf = buf
	return nil
}
