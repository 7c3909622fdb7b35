package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gokdump/gokdump/capture/pfnset"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// shownPages is how many unexplained pages an error names.
const shownPages = 8

// differences are the pages that only one of two sets has, by the rule that explains
// them. An unexplained page is an error that shows what is known of it.
func (m *memory) differences(level int, ours, reference *pfnset.Set) (map[string]uint64, error) {
	named := map[string]uint64{}
	var unexplained []string
	count := 0
	for pfn := range m.limit {
		a, b := ours.Has(pfn), reference.Has(pfn)
		if a == b {
			continue
		}
		if r := m.explain(level, pfn, a); r != nil {
			named[r.name]++
			continue
		}
		if count++; count <= shownPages {
			unexplained = append(unexplained, m.describe(pfn, a))
		}
	}
	if count > 0 {
		return named, fmt.Errorf("%d pages differ from makedumpfile's for no known reason:\n%s", count, strings.Join(unexplained, "\n"))
	}
	return named, nil
}

func (m *memory) explain(level int, pfn uint64, ours bool) *rule {
	for i := range rules {
		if r := &rules[i]; r.ours == ours && r.holds(m, level, pfn) {
			return r
		}
	}
	return nil
}

// grown tells whether each planted page came out as planted.
func (m *memory) grown(d dump, ours, reference *pfnset.Set) error {
	var errs []error
	for _, p := range d.plants {
		a, b, got := ours.Has(p.pfn), reference.Has(p.pfn), ""
		if a != b {
			if r := m.explain(d.level, p.pfn, a); r != nil {
				got = r.name
			}
		}
		if want := p.rules[d.level]; got != want {
			errs = append(errs, fmt.Errorf("planted flag %d of page %#x: explained by %q, want %q; ours %v, makedumpfile %v", p.flag, p.pfn, got, want, a, b))
		}
	}
	return errors.Join(errs...)
}

// describe tells what a person needs to judge a page.
func (m *memory) describe(pfn uint64, ours bool) string {
	side := "makedumpfile"
	if ours {
		side = "we"
	}
	s := fmt.Sprintf("  pfn %#x: only %s keep it; section flags %#x", pfn, side, m.sectionFlags(pfn))
	p := m.structPage(pfn)
	if p == nil {
		return s + ", no struct page"
	}
	s += fmt.Sprintf(", flags %#x mapping %#x mapcount %#x private %#x", m.u64(p, "page.flags"), m.u64(p, "page.mapping"), m.mapcount(p), m.u64(p, "page.private"))
	if m.tail(p) {
		n, h := m.head(pfn)
		s += fmt.Sprintf("; tail of %#x", n)
		if h != nil {
			s += fmt.Sprintf(" with flags %#x mapping %#x mapcount %#x", m.u64(h, "page.flags"), m.u64(h, "page.mapping"), m.mapcount(h))
		}
	}
	return s
}

// contents compares every page that a dump stores with the core's, through our own
// reader, and gives their number and set.
func (m *memory) contents(ctx context.Context, dump string) (uint64, *pfnset.Set, error) {
	src, err := vmcore.OpenPath(dump)
	if err != nil {
		return 0, nil, err
	}
	defer src.Close()
	k, ok := src.(vmcore.Kdump)
	if !ok {
		return 0, nil, fmt.Errorf("%s is %s, not kdump", dump, src.Format())
	}
	r, err := src.NewReader()
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	stored := k.Stored()
	a, b := make([]byte, 4096), make([]byte, 4096)
	var n uint64
	for pfn, ok := stored.Next(0); ok; pfn, ok = stored.Next(pfn + 1) {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return n, nil, ctx.Err()
		}
		if err := r.ReadPhys(a, pfn<<12); err != nil {
			return n, nil, fmt.Errorf("page %#x of the dump: %w", pfn, err)
		}
		if err := m.r.ReadPhys(b, pfn<<12); err != nil {
			return n, nil, fmt.Errorf("page %#x of the core: %w", pfn, err)
		}
		if !bytes.Equal(a, b) {
			return n, nil, fmt.Errorf("page %#x is not what the core has", pfn)
		}
	}
	return n, stored.Clone(), nil
}
