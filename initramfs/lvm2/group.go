package lvm2

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoVolume is wrapped by the error for a logical volume that its group has not.
var ErrNoVolume = errors.New("the volume group has no such logical volume")

// ErrUnsupported is wrapped by the error for a logical volume that is more than
// linear pieces of physical volumes.
var ErrUnsupported = errors.New("only linear logical volumes can be assembled in the crash kernel")

// Group is a volume group as its metadata has it.
type Group struct {
	// Name and ID are the group's; an ID has 32 characters without dashes.
	Name, ID string
	// Seqno grows with each change of the metadata.
	Seqno uint64
	// ExtentSize is in sectors of 512 bytes.
	ExtentSize uint64

	physical map[string]physical // by the name that segments use
	logical  *section
}

type physical struct {
	id           string
	start, count uint64 // in sectors, in extents
}

// Piece is a part of a logical volume, in sectors of 512 bytes.
type Piece struct {
	// Start is where the piece begins in the logical volume, and Length its size.
	Start, Length uint64
	// PV is the id of the physical volume, 32 characters without dashes; Offset is
	// where the piece begins in it.
	PV     string
	Offset uint64
}

// maxSectors keeps a size in bytes within an int64.
const maxSectors = 1<<54 - 1

// ParseGroup reads the text of a group's metadata.
func ParseGroup(text []byte) (*Group, error) {
	top, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("lvm: metadata: %w", err)
	}
	for _, name := range top.names {
		s, ok := top.values[name].(*section)
		if !ok || s.text("id") == "" {
			continue
		}
		g, err := newGroup(name, s)
		if err != nil {
			return nil, fmt.Errorf("lvm: metadata of group %s: %w", name, err)
		}
		return g, nil
	}
	return nil, errors.New("lvm: metadata: no volume group in it")
}

func newGroup(name string, s *section) (*Group, error) {
	g := &Group{Name: name, ID: plainID(s.text("id")), physical: map[string]physical{}, logical: s.sub("logical_volumes")}
	var err error
	if g.Seqno, err = s.number("seqno"); err != nil {
		return nil, err
	}
	if g.ExtentSize, err = s.number("extent_size"); err != nil {
		return nil, err
	}
	if g.ExtentSize == 0 || g.ExtentSize > maxSectors {
		return nil, fmt.Errorf("an extent size of %d sectors", g.ExtentSize)
	}
	pvs := s.sub("physical_volumes")
	for _, n := range pvs.names {
		v := pvs.sub(n)
		p := physical{id: plainID(v.text("id"))}
		if p.start, err = v.number("pe_start"); err == nil {
			p.count, err = v.number("pe_count")
		}
		if err != nil {
			return nil, fmt.Errorf("physical volume %s: %w", n, err)
		}
		if p.start > maxSectors || p.count > maxSectors/g.ExtentSize {
			return nil, fmt.Errorf("physical volume %s: %d extents from sector %d", n, p.count, p.start)
		}
		g.physical[n] = p
	}
	return g, nil
}

// Find gives the name of the logical volume with the given id.
func (g *Group) Find(id string) (string, error) {
	id = plainID(id)
	for _, n := range g.logical.names {
		if got := plainID(g.logical.sub(n).text("id")); got == id && id != "" {
			return n, nil
		}
	}
	return "", fmt.Errorf("lvm: %w: %s in group %s", ErrNoVolume, id, g.Name)
}

// Linear gives the pieces of the logical volume called name, in their order and
// without a gap. The error wraps [ErrUnsupported] for a volume of another make, or
// one whose origin a snapshot keeps: writing to it past the snapshot would break
// that.
func (g *Group) Linear(name string) ([]Piece, error) {
	fail := func(format string, a ...any) ([]Piece, error) {
		return nil, fmt.Errorf("lvm: logical volume %s/%s: %w", g.Name, name, fmt.Errorf(format, a...))
	}
	for _, other := range g.logical.names {
		if snap, ok := g.leansOn(other, name); ok {
			return fail("%w, and %s is a snapshot of it", ErrUnsupported, snap)
		}
	}
	v := g.logical.sub(name)
	if len(v.names) == 0 {
		return fail("%w", ErrNoVolume)
	}
	for _, s := range v.list("status") {
		switch s {
		case "PVMOVE", "LOCKED", "MERGING", "CONVERTING":
			return fail("%w, and this one is being changed (%s)", ErrUnsupported, s)
		}
	}
	count, err := v.number("segment_count")
	if err != nil || count == 0 || count > uint64(len(v.names)) {
		return fail("%d segments", count)
	}
	var out []Piece
	var next uint64
	for i := range count {
		p, err := g.piece(v.sub(fmt.Sprintf("segment%d", i+1)))
		if err != nil {
			return fail("segment %d: %w", i+1, err)
		}
		if p.Start != next {
			return fail("segment %d starts at sector %d and not at %d", i+1, p.Start, next)
		}
		if next += p.Length; next > maxSectors {
			return fail("larger than a device can be")
		}
		out = append(out, p)
	}
	return out, nil
}

// leansOn tells whether logical volume name is what LVM keeps of a snapshot of origin,
// and the snapshot's own name.
func (g *Group) leansOn(name, origin string) (snapshot string, ok bool) {
	v := g.logical.sub(name)
	for _, n := range v.names {
		s, is := v.values[n].(*section)
		if is && s.text("type") == "snapshot" && (s.text("origin") == origin || s.text("cow_store") == origin) {
			return s.text("cow_store"), true
		}
	}
	return "", false
}

func (g *Group) piece(s *section) (p Piece, err error) {
	start, err := s.number("start_extent")
	if err != nil {
		return p, err
	}
	count, err := s.number("extent_count")
	if err != nil {
		return p, err
	}
	if kind := s.text("type"); kind != "striped" && kind != "linear" {
		return p, fmt.Errorf("%w, and this is of type %.30q", ErrUnsupported, kind)
	}
	if n, err := s.number("stripe_count"); err != nil || n != 1 {
		return p, fmt.Errorf("%w, and this has %d stripes", ErrUnsupported, n)
	}
	at := s.list("stripes")
	if len(at) != 2 {
		return p, fmt.Errorf("%d words say where it lies, not 2", len(at))
	}
	name, _ := at[0].(string)
	first, ok := at[1].(int64)
	pv, known := g.physical[name]
	if !known {
		return p, fmt.Errorf("%w, and this lies on %.60q, which is no physical volume", ErrUnsupported, name)
	}
	if !ok || first < 0 || count == 0 || count > pv.count || uint64(first) > pv.count-count || start > maxSectors/g.ExtentSize {
		return p, fmt.Errorf("%d extents from %d of a physical volume with %d", count, first, pv.count)
	}
	return Piece{
		Start: start * g.ExtentSize, Length: count * g.ExtentSize,
		PV: pv.id, Offset: pv.start + uint64(first)*g.ExtentSize,
	}, nil
}

// plainID takes the dashes out of an id.
func plainID(id string) string { return strings.ReplaceAll(id, "-", "") }
