package filter

import "context"

// maxWitness is how many struct pages of known memory are looked at.
const maxWitness = 32 << 10

// prove holds the layout of struct page against pages of which it is known what
// they are: the kernel image first, then the memory of the struct pages. Then it
// lets go of the parts of the image that the kernel itself let go of. The error
// says what does not fit; what fits in part is taken back in the layout.
func (s *scan) prove(ctx context.Context) error {
	w := s.layout.Witness()
	var gone freed
	left := uint64(maxWitness)
	buf := make([]byte, 512*s.layout.Size)
	size := s.layout.Size
	for _, image := range []bool{true, false} {
		for _, sec := range s.memmap.Sections {
			if err := ctx.Err(); err != nil {
				return err
			}
			for pfn := sec.Start; pfn < min(sec.End, s.pinned.Limit()) && left > 0; {
				n := min(512, min(sec.End, s.pinned.Limit())-pfn, left)
				if s.pinned.LenRange(pfn, pfn+n) == 0 || image && s.image.LenRange(pfn, pfn+n) == 0 {
					pfn += n
					continue
				}
				b := buf[:n*size]
				if err := s.space.ReadVirt(b, sec.Map+(pfn-sec.Start)*size); err != nil {
					pfn += n
					continue
				}
				for i := range n {
					if s.pinned.Has(pfn+i) && s.image.Has(pfn+i) == image {
						w.Add(b[i*size : (i+1)*size])
						left--
						if image {
							gone.add(s, pfn+i, sec.Map+(pfn+i-sec.Start)*size, b[i*size:(i+1)*size])
						}
					}
				}
				pfn += n
			}
		}
	}
	l, notes, err := w.Verdict()
	if err != nil {
		return err
	}
	for _, n := range notes {
		s.warn("%s", n)
	}
	s.layout = l
	if len(notes) == 0 { // else PG_reserved may not be where it is looked for
		gone.unpin(s)
	}
	return nil
}
