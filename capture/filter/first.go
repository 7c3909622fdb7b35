package filter

import (
	"context"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/pfnset"
)

// slabFirst is the most slab, in bytes, that goes first; a machine whose slab
// is mostly directory entries would put everything first.
const slabFirst = 2 << 30

// walkTables collects the kernel's page tables, what is mapped outside of the
// direct map, and the image when the core does not tell it.
func (s *scan) walkTables(ctx context.Context) error {
	noImage := len(s.src.KernelImage()) == 0
	var direct uint64 // address in the direct map less physical address
	found := false
	page := s.pageSize
	large := pfnset.New(s.res.RAM.Limit())
	skipped, err := s.space.Walk(ctx, s.res.RAM.Limit(),
		func(start, end uint64) { s.pinned.AddRange(start, end) },
		func(m kernel.Mapping) {
			if s.space.IsImage(m) {
				if noImage {
					s.addImage(m.PA, m.PA+m.Size)
				}
				return
			}
			// the direct map is the first area of all, and well aligned
			if delta := m.VA - m.PA; !found && delta%(1<<21) == 0 {
				direct, found = delta, true
			}
			if m.VA-m.PA != direct {
				s.first.AddRange(m.PA/page, (m.PA+m.Size)/page)
				s.twice(large, m)
			}
		})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || skipped > 0 {
		s.warn("%d of the kernel's page tables cannot be read (%v): what they map does not go first", skipped, err)
	}
	return nil
}

// twice notes memory that is mapped a second time by a large page outside of the direct
// map: if it is struct pages, it is not clear whose. large has what was mapped before.
func (s *scan) twice(large *pfnset.Set, m kernel.Mapping) {
	if m.Size == s.pageSize {
		return // several hugetlb pages may share the small page of their struct pages
	}
	start, end := m.PA/s.pageSize, (m.PA+m.Size)/s.pageSize
	if large.LenRange(start, end) > 0 {
		s.doubled.AddRange(start, end)
		s.shares = true
	}
	large.AddRange(start, end)
}

// pinMaps pins the memory that holds struct pages and mem_section.
func (s *scan) pinMaps(ctx context.Context) error {
	for _, t := range s.memmap.Tables {
		s.pin(t, nil)
	}
	maps := pfnset.New(s.res.RAM.Limit())
	for _, sec := range s.memmap.Sections {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.pin(kernel.Span{VA: sec.Map, Size: (sec.End - sec.Start) * s.layout.Size}, maps)
	}
	return nil
}

// pin pins the pages of t. Those that maps has already are mapped twice.
func (s *scan) pin(t kernel.Span, maps *pfnset.Set) {
	for at := uint64(0); at < t.Size; {
		pa, n, err := s.space.Translate(t.VA + at)
		if err != nil { // a section need not be mapped as a whole
			at = (t.VA+at)&^(s.pageSize-1) + s.pageSize - t.VA
			continue
		}
		n = min(n, t.Size-at)
		start, end := pa/s.pageSize, (pa+n-1)/s.pageSize+1
		s.pinned.AddRange(start, end)
		if maps != nil {
			if maps.LenRange(start, end) > 0 && (t.VA+at)%s.pageSize == 0 {
				for pfn := start; pfn < min(end, maps.Limit()); pfn++ {
					if maps.Has(pfn) {
						s.shared.Add(pfn)
						s.shares = true
					}
				}
			}
			maps.AddRange(start, end)
		}
		at += n
	}
}

// finishFirst makes First of all that was collected, as a part of Keep.
func (s *scan) finishFirst() {
	sets := []*pfnset.Set{s.pinned, s.first}
	if s.slab != nil {
		sets = append(sets, s.slab)
	}
	first := pfnset.New(s.res.RAM.Limit())
	var sum, b, keep [pfnset.ChunkPFNs / 8]byte
	for pfn := uint64(0); pfn < first.Limit(); pfn += pfnset.ChunkPFNs {
		clear(sum[:])
		some := false
		for _, set := range sets {
			if set.LenRange(pfn, pfn+pfnset.ChunkPFNs) == 0 {
				continue
			}
			some = true
			set.Bytes(b[:], pfn)
			for i := range sum {
				sum[i] |= b[i]
			}
		}
		if !some {
			continue
		}
		s.res.Keep.Bytes(keep[:], pfn)
		for i := range sum {
			sum[i] &= keep[i]
		}
		first.SetBytes(sum[:], pfn)
	}
	if first.Len() > 0 {
		s.res.First = first
	}
}
