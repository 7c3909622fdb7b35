package matrix

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// What no machine can be made to do on demand is planted into a copy of a core: flags of
// single pages, in the kernel's own struct pages. Then the rules must see exactly the
// planted pages, for what they are, in what the real makedumpfile makes of the copy.

// PlantedCase is added to the case's name in the rows of planted cores.
const PlantedCase = " (planted)"

// plantedLevels are those at which planted pages make a difference.
var plantedLevels = []int{4, 8, 16, 31}

// plant is a page whose struct page is changed.
type plant struct {
	pfn  uint64
	flag uint64 // number of the flag that is set
	// rules are by level the rule that explains the page; none where both tools
	// do the same.
	rules map[int]string
}

// pgWaiters is PG_waiters since 4.10 (include/linux/page-flags.h); no kernel exports it.
const pgWaiters = 7

// Planted compares dumps of a copy of the core with pages planted.
func (m *Matrix) Planted(ctx context.Context, core *Core) ([]Row, error) {
	work, err := os.MkdirTemp(m.Work, "planted-")
	if err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	defer os.RemoveAll(work)
	copied := *core
	copied.Dir, copied.Path, copied.Captured = work, filepath.Join(work, "vmcore"), ""
	copied.Case.Name += PlantedCase
	if out, err := exec.CommandContext(ctx, "cp", "--sparse=always", core.Path, copied.Path).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("matrix: %w: %s", err, out)
	}
	plants, err := plantAll(copied.Path)
	if err != nil {
		return nil, err
	}
	mem, err := openMemory(copied.Path)
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	c := &checker{Matrix: m, core: &copied, mem: mem, work: work}
	var rows []Row
	for i, level := range plantedLevels {
		fmt.Fprintf(m.Progress, "%s, %s: level %d\n", core.Kernel.Release, copied.Case.Name, level)
		rows = append(rows, c.check(ctx, dump{level: level, codec: Codecs[i], plants: plants}))
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
	}
	return rows, nil
}

// plantAll changes the core.
func plantAll(path string) ([]plant, error) {
	mem, err := openMemory(path)
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	plants := mem.choose()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	defer f.Close()
	for _, p := range plants {
		if err := mem.set(f, p); err != nil {
			return nil, fmt.Errorf("matrix: plant flag %d of page %#x: %w", p.flag, p.pfn, err)
		}
	}
	return plants, f.Close()
}

// choose finds a page for each plant that the kernel has flags for.
func (m *memory) choose() (plants []plant) {
	// The middle of the image is text or read-only data.
	image := m.image[0].start + (m.image[0].end-m.image[0].start)/4
	plants = append(plants, plant{image, m.flags["PG_lru"], map[int]string{4: "image", 31: "image"}})
	_, named := m.flags["PG_slab"]
	poison, poisons := m.flags["PG_hwpoison"]
	all := func(rule string) map[int]string { return map[int]string{4: rule, 8: rule, 16: rule, 31: rule} }
	find := func(flag uint64, rules map[int]string, ok func(pfn uint64, p []byte) bool) {
		for pfn := range m.limit {
			if slices.ContainsFunc(plants, func(q plant) bool { return q.pfn == pfn }) || !m.ram.Has(pfn) {
				continue
			}
			if p := m.structPage(pfn); p != nil && ok(pfn, p) {
				plants = append(plants, plant{pfn, flag, rules})
				return
			}
		}
	}
	typed := func(p []byte, typ uint32) bool { return !m.tail(p) && m.mapcount(p)>>24 == typ }
	if poisons {
		rules := all("poisoned-tail")
		if _, renamed := m.info.Offset("page.compound_info"); renamed {
			rules = nil // not knowing that field, makedumpfile judges tails by themselves
		}
		find(poison, rules, func(pfn uint64, p []byte) bool {
			if !m.tail(p) || m.has(p, "PG_hwpoison") {
				return false
			}
			_, h := m.head(pfn)
			return h != nil && !m.has(h, "PG_hwpoison") && (named && m.has(h, "PG_slab") || !named && typed(h, typeSlab))
		})
	}
	if named {
		return plants
	}
	find(pgWaiters, map[int]string{4: "waiters-lost", 8: "waiters"}, func(_ uint64, p []byte) bool {
		return m.single(p) && m.anon(p) && m.has(p, "PG_lru") && !m.has(p, "PG_private")
	})
	find(pgWaiters, map[int]string{16: "waiters", 31: "waiters"}, func(_ uint64, p []byte) bool {
		return typed(p, typeBuddy) && m.u64(p, "page.private") == 0
	})
	find(pgWaiters, all("waiters"), func(_ uint64, p []byte) bool { return typed(p, typeOffline) })
	return plants
}

// single tells that a page is in no compound page.
func (m *memory) single(p []byte) bool {
	return !m.tail(p) && m.u64(p, "page.flags")&m.flags["PG_head_mask"] == 0
}

// set sets a flag in the struct page of a core's file.
func (m *memory) set(f *os.File, p plant) error {
	tables, ok := m.pageTables.(*coreTables)
	if !ok {
		return errors.New("no core")
	}
	at := tables.at(p.pfn)
	if at == 0 {
		return errors.New("no struct page")
	}
	pa, _, err := tables.space.Translate(at + uint64(m.page["page.flags"]))
	if err != nil {
		return err
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return err
	}
	for _, load := range e.Progs {
		if load.Type != elf.PT_LOAD || pa < load.Paddr || pa+8 > load.Paddr+load.Filesz {
			continue
		}
		off := int64(load.Off + pa - load.Paddr)
		var b [8]byte
		if _, err := f.ReadAt(b[:], off); err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(b[:], binary.LittleEndian.Uint64(b[:])|1<<p.flag)
		_, err := f.WriteAt(b[:], off)
		return err
	}
	return fmt.Errorf("physical address %#x is in no PT_LOAD", pa)
}
