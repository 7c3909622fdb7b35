package spoiled

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/gokdump/gokdump/capture/kernel"
	"github.com/gokdump/gokdump/capture/vmcore"
)

// overlay is a core with other bytes at one place.
type overlay struct {
	vmcore.Source
	pa uint64
	b  []byte
}

func (o *overlay) NewReader() (vmcore.Reader, error) {
	r, err := o.Source.NewReader()
	return overlaid{r, o}, err
}

type overlaid struct {
	vmcore.Reader
	o *overlay
}

func (r overlaid) ReadPhys(p []byte, pa uint64) error {
	if err := r.Reader.ReadPhys(p, pa); err != nil {
		return err
	}
	start, end := max(pa, r.o.pa), min(pa+uint64(len(p)), r.o.pa+uint64(len(r.o.b)))
	if start < end {
		copy(p[start-pa:end-pa], r.o.b[start-r.o.pa:])
	}
	return nil
}

// ground is the sound memory: what is spoiled is found in it.
type ground struct {
	*checker
	ctx   context.Context
	info  *kernel.Info
	mem   vmcore.Reader
	space *kernel.Space
	maps  *kernel.MemMap
	rnd   *rand.Rand
	err   error // of the first scan that could not be made
}

// memory writes over struct pages, mem_section and page tables.
func (c *checker) memory(ctx context.Context) error {
	g := &ground{checker: c, ctx: ctx, rnd: rand.New(rand.NewPCG(5, 6))}
	var err error
	if g.info, err = kernel.ParseInfo(c.src.VMCoreInfo()); err != nil {
		return err
	}
	if g.mem, err = c.src.NewReader(); err != nil {
		return err
	}
	defer g.mem.Close()
	if g.space, err = kernel.NewSpace(g.info, c.src.Machine(), g.mem); err != nil {
		return err
	}
	if g.maps, err = kernel.NewMemMap(g.info, g.space, c.src.RAM()); err != nil {
		return err
	}
	g.structPages()
	g.sections()
	if err := g.tables(); err != nil {
		return err
	}
	return g.err
}

// try looks at the memory with b at pa. Where translation itself is spoiled, the log
// may be lost, but not in silence.
func (g *ground) try(what string, pa uint64, b []byte, translation bool) {
	if g.err != nil {
		return
	}
	o := &overlay{Source: g.src, pa: pa, b: b}
	g.rep.Pieces++
	for _, level := range g.opt.Levels {
		bad, err := scan(g.ctx, o, g.src.VMCoreInfo(), level)
		if err != nil {
			g.err = fmt.Errorf("%s: %w", what, err)
			return
		}
		g.compare(what, level, bad)
	}
	got, said, err := logOf(o, g.src.VMCoreInfo())
	switch {
	case got == g.log:
	case !translation && err != nil:
		g.defect(what, -1, "the log is not saved: %v", err)
	case !translation:
		g.defect(what, -1, "the log has %d bytes, want the same %d", len(got), len(g.log))
	case err == nil && len(said) == 0:
		g.defect(what, -1, "the log has %d bytes, want the same %d, and nothing is said", len(got), len(g.log))
	}
}

// at reads n bytes of the kernel's memory, and gives where they lie; nil where they
// are not in one piece.
func (g *ground) at(va uint64, n int) (pa uint64, b []byte) {
	pa, left, err := g.space.Translate(va)
	b = make([]byte, n)
	if err != nil || left < uint64(n) || g.mem.ReadPhys(b, pa) != nil {
		return 0, nil
	}
	return pa, b
}

// fill is a way to write over a piece of memory.
type fill struct {
	how string
	do  func(b []byte)
}

func (g *ground) fills() []fill {
	return []fill{
		{"zeros", func(b []byte) { clear(b) }},
		{"noise", func(b []byte) {
			for i := range b {
				b[i] = byte(g.rnd.Uint32())
			}
		}},
		{"itself, moved", func(b []byte) { copy(b[8:], b) }},
		{"text", func(b []byte) {
			for i := range b {
				b[i] = "gokdump "[i%8]
			}
		}},
	}
}

func (g *ground) structPages() {
	for _, fill := range g.fills() {
		for i, sec := range g.maps.Sections {
			at := sec.Map + g.rnd.Uint64N((sec.End-sec.Start)*64-1<<20)&^4095
			for _, n := range []int{4096, 1 << 18} {
				if pa, b := g.at(at&^uint64(n-1), n); b != nil {
					fill.do(b)
					g.try(fmt.Sprintf("struct pages of section %d: %d KiB of %s", i, n>>10, fill.how), pa, b, false)
				}
			}
		}
	}
}

// sections spoils mem_section: its roots, each whole piece of it, and the entries of
// the sections.
func (g *ground) sections() {
	for i, tab := range g.maps.Tables {
		n := int(min(tab.Size, 4096-tab.VA%4096))
		for _, fill := range g.fills() {
			if pa, b := g.at(tab.VA, n); b != nil {
				fill.do(b)
				g.try(fmt.Sprintf("mem_section, part %d: %s", i, fill.how), pa, b, false)
			}
		}
		pa, b := g.at(tab.VA, n)
		if b == nil {
			continue
		}
		var other uint64 // another entry of the same
		for at := 0; at+8 <= n; at += 8 {
			v := binary.LittleEndian.Uint64(b[at:])
			if !g.space.IsKernel(v) {
				continue
			}
			for how, w := range map[string]uint64{
				"null": 0, "odd": v | 0xfff, "all ones": ^uint64(0), "user's": 0x7f0000001001, "another's": other, "one page off": v + 4096,
				"one bit off": v ^ 1<<30, "at the image": 0xffffffff80000000 | v&0xfff, "2 MiB off": v + 2<<20, "a section off": v - 2<<20,
				"not present": v &^ 1,
			} {
				if w != v {
					g.try(fmt.Sprintf("mem_section, part %d, word %d: %s", i, at/8, how), pa+uint64(at), word(w), false)
				}
			}
			other = v
		}
	}
}

// word is a number as it lies in memory.
func word(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
